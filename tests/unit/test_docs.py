"""Commands, files and links in the docs exist, and generated pages are up to date."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from daybook.contracts.contract import Event
from daybook.local.instructions import instructions
from daybook.operate.glossary import terms
from daybook.operate.program import app
from daybook.operate.send import command as send
from daybook.operate.send.entries import problem, read_entries
from events.catalogue import CATALOGUE
from tests.documentation import DOCS, PAGES, ROOT, all_examples
from tools.pages import PAGES as GENERATED

TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
# Chaos runs write docs/chaos.md.
BY_HAND = {
    page: text for page, text in TEXTS.items() if page not in {f"docs/{name}" for name in (*GENERATED, "chaos.md")}
}
WELCOME = instructions("http://127.0.0.1:4566")
STAGES = {"local", "prod"}

# Command lines in code blocks, and commands that sentences name: these have no arguments.
BLOCKS = [
    block for text in BY_HAND.values() for block in re.findall(r"^ *```\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
]
TYPED = sorted(
    {
        line
        for block in BLOCKS
        for line in re.findall(r"^ *(?:\$ )?(?:\.venv/bin/)?(daybook .*?)(?: +#.*)?$", block, re.MULTILINE)
    }
)
NAMED = sorted({name for text in BY_HAND.values() for name in re.findall(r"`daybook ([a-z][a-z ]*[a-z])`", text)})
# Commands that exist only in the examples of the docs.
OF_EXAMPLES = {"loans", "shortages"}


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(PAGES) == sorted([ROOT / "README.md", *DOCS.rglob("*.md")])


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text() == GENERATED[name](), "run `make docs`"


def test_every_block_of_python_names_its_file() -> None:
    assert all_examples()


def test_the_readme_fits_on_two_screens() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 90


@pytest.mark.parametrize("page", TEXTS)
def test_every_table_has_a_header_and_no_blank_line_in_it(page: str) -> None:
    lines = ["", *TEXTS[page].splitlines(), ""]
    first = [n for n, line in enumerate(lines) if line.startswith("|") and not lines[n - 1].startswith("|")]

    assert [lines[n] for n in first if not re.fullmatch(r"\|([ :-]+\|)+", lines[n + 1])] == []


@pytest.mark.parametrize("page", TEXTS)
def test_every_block_of_json_is_json(page: str) -> None:
    for block in re.findall(r"^```json\n(.*?)^```$", TEXTS[page], re.MULTILINE | re.DOTALL):
        json.loads(block)


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_leads_to_a_file(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", TEXTS[page])

    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


@pytest.mark.parametrize("page", [*BY_HAND, "docs/glossary.md"])
def test_every_file_and_every_make_target_that_is_named_is_there(page: str) -> None:
    makefiles = "\n".join(file.read_text() for file in (ROOT / "Makefile", *ROOT.glob("*/targets.mk")))
    targets = set(re.findall(r"^([a-z-]+):", makefiles, re.MULTILINE))
    of_examples = {example.file for example in all_examples()}
    files = re.findall(
        r"`((?:bench|chaos|daybook|docs|events|functions|samples|stacks|tests|tools)/[\w/.-]+)`", TEXTS[page]
    )

    assert set(re.findall(r"(?:`|^)make ([a-z-]+)\b", TEXTS[page], re.MULTILINE)) <= targets
    assert [file for file in files if not (ROOT / file).exists() and file not in of_examples] == []


@pytest.mark.parametrize("text", [TEXTS["docs/quickstart.md"], WELCOME], ids=["quickstart", "make run"])
def test_the_example_for_the_aws_command_line_is_an_event_that_is_admitted(text: str) -> None:
    (command,) = re.findall(r"^AWS_ACCESS_KEY_ID=test (?:.|\n)*?\]'$", text, re.MULTILINE)
    words = shlex.split(command)
    (entry,) = read_entries(words[words.index("--entries") + 1])

    assert json.loads(words[words.index("--entries") + 1])[0]["EventBusName"] == "daybook-local-ingress"
    assert words[words.index("--region") + 1] == "us-east-1"
    assert problem(entry) is None


@pytest.mark.parametrize(
    "text", [TEXTS["docs/quickstart.md"], WELCOME, send.EXAMPLES], ids=["quickstart", "make run", "daybook send --help"]
)
def test_every_sample_that_is_named_is_there(text: str) -> None:
    named = re.findall(r"\bsamples/\S+\.json", text)

    assert named
    assert [sample for sample in named if not (ROOT / sample).is_file()] == []


def parsed(command: Any, words: list[str], name: str = "daybook") -> None:
    """Parse the words as the program would, down to the last command, and run nothing. Raises click's UsageError."""
    context = command.make_context(name, words)
    if hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]  # noqa: SLF001 - click keeps them there for the next command
        assert rest or command.invoke_without_command, f"{name} by itself does nothing"
        if rest:
            name, following, left = command.resolve_command(context, rest)
            parsed(following, left, name)


@pytest.mark.parametrize("line", [line for line in TYPED if line.split()[1] not in OF_EXAMPLES])
def test_every_command_in_the_docs_is_one_that_can_be_typed(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)[1:]
    for file in (word for word in words if word.endswith((".json", ".CSV"))):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("{}")

    parsed(typer.main.get_command(app), words)

    assert words[0] == "help" or words[-2:] in [["--stage", stage] for stage in STAGES]


@pytest.mark.parametrize("name", [name for name in NAMED if name not in OF_EXAMPLES])
def test_every_command_that_the_docs_name_is_there(name: str) -> None:
    command: Any = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word] if hasattr(command, "commands") else command


def test_what_changes_something_in_the_runbook_is_said_with_apply() -> None:
    changing = re.compile(r"daybook (pause|resume|rebuild|dead (retry|discard|edit|resolve))\b")
    lines = re.findall(r"^ *(daybook .*)$", TEXTS["docs/runbook.md"], re.MULTILINE)

    assert [line for line in lines if changing.match(line) and "--apply" not in line] == []


def test_every_term_of_the_glossary_is_linked_from_a_page() -> None:
    linked = set(re.findall(r"glossary\.md#([\w-]+)\)", "\n".join(BY_HAND.values())))
    anchors = {re.sub(r"[^\w-]+", "-", re.sub(r",", "", term.term.lower())) for term in terms()}

    assert anchors - linked == set()


def test_a_broken_link_or_anchor_builds_no_site(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copyfile(ROOT / "zensical.toml", tmp_path / "zensical.toml")
    index = tmp_path / "docs" / "index.md"
    whole = index.read_text()

    def builds() -> bool:
        program = Path(sys.executable).with_name("zensical")
        return not subprocess.run(
            [program, "build", "--strict"], cwd=tmp_path, capture_output=True, check=False
        ).returncode

    assert builds()
    for broken in ("no-such-page.md", "glossary.md#no-such-term"):
        index.write_text(f"{whole}\n[here]({broken})\n")
        assert not builds(), broken


@pytest.mark.parametrize("contract", CATALOGUE.values(), ids=CATALOGUE)
def test_every_field_that_is_not_a_contract_part_of_its_own_is_described(contract: type[Event]) -> None:
    plain = {
        name
        for name, field in contract.model_fields.items()
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel))
    }

    assert {name for name in plain if not contract.model_fields[name].description} == set()

"""What commands print can neither control the terminal, nor run other programs when it is pasted into a shell."""

import ast
import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.text import Text
from rich.tree import Tree
from typer.testing import CliRunner

from daybook.local.errors import StepFailed
from daybook.local.logs import last_lines
from daybook.local.project import ROOT
from daybook.operate.drawing import table
from daybook.operate.program import app
from daybook.operate.terminal import Terminal, command_line, daybook, json_text, plain
from tests.ops.world import World
from tests.unit.test_docs import parsed

# C0, ESC, DEL, C1, directions, zero width, line and paragraph separators.
HOSTILE = [
    *map(chr, (*range(0x20), *range(0x7F, 0xA0))),
    *"\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff",
    "\u2028",
    "\u2029",
    "\U000e0001",
]
EVIL = "".join(HOSTILE)
INJECTED = [
    "x$(touch ran)",
    "`touch ran`",
    "; touch ran",
    "a\ntouch ran",
    "'; touch ran; '",
    "-rf",
    "--all",
    "\x1b\x9b'\\",
]


def words(line: str, folder: Path) -> list[str]:
    """The words that bash reads in a pasted command line."""
    read = ["bash", "-c", f"printf '%s\\0' {line}"]
    environment = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    output = subprocess.run(read, cwd=folder, env=environment, check=True, capture_output=True).stdout
    return output.decode().split("\0")[:-1]


def unsafe(text: str) -> list[str]:
    return [each for each in text if not each.isprintable() and each != "\n"]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": "4000"})


# --- the functions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", HOSTILE, ids=ascii)
def test_a_character_that_a_terminal_obeys_or_hides_is_shown_as_its_escape(character: str) -> None:
    shown = plain(f"a{character}b")

    assert re.fullmatch(r"a\\[tnr]b|a\\x[0-9a-f]{2}b|a\\u[0-9a-f]{4}b|a\\U[0-9a-f]{8}b", shown)
    assert json.loads(json_text({"é": character})) == {"é": character}
    assert unsafe(json_text({"é": character})) == []


def test_other_characters_are_shown_as_they_are() -> None:
    text = "Žofie Müller 李明 €5 \\ 'x' 🎉"

    assert (plain(text), json_text(text, indent=2)) == (text, json.dumps(text, ensure_ascii=False))


@pytest.mark.parametrize("value", INJECTED, ids=ascii)
def test_the_shell_gives_each_value_back_whole(value: str, tmp_path: Path) -> None:
    line = daybook("dead", "retry", value, apply=True, reason=value, stage="dev")

    assert line == plain(line)
    assert words(line, tmp_path)[:3] == ["daybook", "dead", "retry"]
    assert words(line, tmp_path).count(value) == 2
    assert words(command_line("aws", f"--filter={value}"), tmp_path) == ["aws", f"--filter={value}"]
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_begins_with_a_dash_is_not_read_as_an_option(tmp_path: Path) -> None:
    line = daybook("dead", "retry", "--all", apply=True, stage="dev")

    parsed(typer.main.get_command(app), words(line, tmp_path)[1:])
    assert line == "daybook dead retry --apply --stage dev -- --all"


def test_trees_tables_and_titles_print_data_in_one_line_without_control_characters() -> None:
    screen = io.StringIO()
    terminal = Terminal(file=screen, width=4000)
    tree = Tree(EVIL)
    tree.add(Text(EVIL))

    for each in (tree, table(EVIL, [EVIL], [[EVIL]]), Text(EVIL), EVIL):
        terminal.print(each)

    assert unsafe(screen.getvalue()) == []
    assert "\\u202e" in screen.getvalue()


def test_rich_still_colours_and_updates_lines() -> None:
    screen = io.StringIO()
    Terminal(file=screen, force_terminal=True, color_system="standard").print(Text("\x1b[2J", style="red"))

    assert screen.getvalue() == "\x1b[31m\\x1b[2J\x1b[0m\n"


def test_a_failed_step_of_a_local_run_quotes_its_log_without_control_characters(tmp_path: Path) -> None:
    log = tmp_path / "cdk.log"
    log.write_text(f"\x1b[31mError\x1b[0m: \tno {EVIL.replace(chr(10), '')}\n")

    error = str(StepFailed("deploying", last_lines(log, 1), log))

    assert unsafe(error) == []
    assert "  Error: " in error


# --- the commands --------------------------------------------------------------------------------------------------


def a_hostile_stage(world: World) -> None:
    """Events, dead letters and a consumer whose every text comes from an attacker."""
    world.uses("confirm-order", service="orders", event="OrderPlaced", kind="effect", idempotency_key=f"mail/{EVIL}")
    world.listens("confirm-order", "OrderPlaced")
    event = world.recorded(
        "OrderPlaced", f"order/{EVIL}", event_id=f"e{EVIL}", producer=EVIL, data=json.dumps({"note": EVIL})
    )
    unknown = world.recorded(f"Odd{EVIL}", "order/2", event_id="e2", data=json.dumps({"note": EVIL}))
    world.died(event, "confirm-order", f"KeyError{EVIL}", reason=EVIL)
    world.died(unknown, "confirm-order", "OutcomeUnknown", reason=EVIL)
    for value in [*INJECTED, EVIL]:
        world.died(f"id{value}", "admit", "ContractBroken", reason=EVIL, body=json.dumps({"x": EVIL}), event_type=EVIL)
        world.died(f"id{value}", f"gone{value}", f"Error{value}", reason=value)


def all_commands() -> Iterator[tuple[str, ...]]:
    hostile = f"id{EVIL}@admit"
    for as_json in ((), ("--json",)):
        yield ("dead", *as_json)
        yield ("dead", "list", *as_json)
        yield ("dead", "show", hostile, *as_json)
        yield ("dead", "show", hostile, "--reveal", *as_json)
        yield ("dead", "show", f"e{EVIL}", *as_json)
        yield ("dead", "retry", hostile, *as_json)
        yield ("dead", "retry", "--all", *as_json)
        yield ("dead", "discard", "--all", *as_json)
        yield ("dead", "edit", f"e{EVIL}", *as_json)
        yield ("dead", "edit", f"none{EVIL}", *as_json)
        yield ("dead", "resolve", "e2", "--outcome", "no-effect", *as_json)
        yield ("events", *as_json)
        yield ("events", "--type", EVIL, *as_json)
        yield ("trace", f"order/{EVIL}", *as_json)
        yield ("trace", f"e{EVIL}", "--data", *as_json)
        yield ("trace", f"id{EVIL}", *as_json)
        yield ("trace", f"none{EVIL}", *as_json)
        yield ("status", "--all", *as_json)
        yield ("replay", "--to", "confirm-order", "--event", f"e{EVIL}", *as_json)
        yield ("replay", "--to", f"none{EVIL}", "--all", *as_json)
        yield ("pause", "confirm-order", "--reason", EVIL, *as_json)
        yield ("pause", f"none{EVIL}", "--reason", "x", *as_json)
        yield ("resume", "confirm-order", *as_json)
        yield ("rebuild", f"none{EVIL}", *as_json)
        yield ("verify", f"none{EVIL}", *as_json)
        yield ("audit", "check", "--settled", "0s", *as_json)
        yield ("help", "glossary", f"none{EVIL}", *as_json)
    yield ("audit", "export", "--to", "-", "--since", "1h")


def test_no_command_prints_a_character_of_its_data_that_controls_the_terminal(world: World) -> None:
    a_hostile_stage(world)

    for arguments in all_commands():
        result = run(*arguments)

        assert result.exception is None or isinstance(result.exception, SystemExit), (arguments, result.exception)
        assert (arguments, unsafe(result.stdout), unsafe(result.stderr)) == (arguments, [], [])
        if "--json" in arguments and result.stdout:
            whole = arguments[:2] == ("dead", "show") or arguments[0] == "trace"
            for text in [result.stdout] if whole else result.stdout.splitlines():
                json.loads(text)


def printed(text: str) -> list[str]:
    """The command lines that the output offers."""
    return re.findall(r"(?:^ +|: +)((?:daybook|aws) (?:dead|trace|logs).*)$", text, re.MULTILINE)


@pytest.mark.parametrize("value", [*INJECTED, EVIL.replace("\0", "")], ids=ascii)
def test_a_printed_command_gives_the_hostile_id_back_whole(world: World, tmp_path: Path, value: str) -> None:
    admitted, gone = f"{value}@admit", f"{value}@gone{value}"
    world.died(value, "admit", "ContractBroken")
    world.died(value, f"gone{value}", f"Error{value}", reason="unclear")

    texts = [run("dead").stdout, *(run("dead", "show", "--", each).stdout for each in (admitted, gone))]
    texts.append(run("trace", "--", value).stderr)
    lines = [line for text in texts for line in printed(text)]
    read = [words(line, tmp_path) for line in lines]

    assert len(read) >= 12
    assert {word for line in read for word in line if value in word} >= {
        admitted,
        gone,
        f"Error{value}",
        f"gone{value}",
    }
    for line in read:
        if line[0] == "daybook":
            parsed(typer.main.get_command(app), line[1:])
    assert not (tmp_path / "ran").exists()


# --- the code ------------------------------------------------------------------------------------------------------

SOURCES = sorted(
    file
    for file in (
        *(ROOT / "daybook").rglob("*.py"),
        *(ROOT / "functions").rglob("*.py"),
        *(ROOT / "samples").rglob("*.py"),
    )
    if "server" not in file.parts
)
# A command line up to its end: a backtick, a semicolon or a period ends it.
_COMMAND = re.compile(r"\b(?:daybook|aws|make|cdk) [a-z-]+[^`;.]*$")


_COMMAND_TEMPLATE = re.compile(r"\b(?:daybook|aws|make|cdk) [a-z-]+[^`;.\n]*\{\w+\}")


def unquoted(tree: ast.AST) -> Iterator[int]:
    """The lines of texts in which a value follows a command without being quoted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = zip(node.values, node.values[1:], strict=False)
            texts = (
                text.value
                for text, value in parts
                if isinstance(text, ast.Constant) and isinstance(value, ast.FormattedValue)
            )
            if any(_COMMAND.search(str(text)) for text in texts):
                yield node.lineno
        elif isinstance(node, ast.Constant) and _COMMAND_TEMPLATE.search(str(node.value)):
            yield node.lineno


def test_the_check_finds_a_value_that_is_not_quoted() -> None:
    assert list(unquoted(ast.parse("f'see: daybook trace {event}'"))) == [1]
    assert list(unquoted(ast.parse("'daybook resume {consumer}'.format(consumer=1)"))) == [1]
    assert list(unquoted(ast.parse("f'see: {x} (daybook send)'"))) == []


def test_every_printed_command_line_is_made_by_the_function_that_quotes() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}" for file in SOURCES for line in unquoted(ast.parse(file.read_text("utf-8")))
    ]

    assert found == []


def printing_calls(tree: ast.AST) -> int:
    calls = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return sum(call in {"print", "typer.echo", "click.echo"} for call in calls)


def test_commands_print_by_the_functions_that_escape() -> None:
    """`typer.echo` and `print` print characters as they are. The exceptions escape by themselves, or print no data."""
    allowed = {
        "daybook/operate/audit/command.py": 1,  # lines of JSON, escaped
        "daybook/operate/cli/printing.py": 3,
        "daybook/operate/dead_letters/edit_command.py": 1,  # to a file as it is, to a terminal escaped
        "daybook/operate/program.py": 1,  # the version
    }
    commands = [*(ROOT / "daybook/operate").rglob("*.py"), *(ROOT / "functions").rglob("commands.py")]
    found = {str(file.relative_to(ROOT)): printing_calls(ast.parse(file.read_text("utf-8"))) for file in commands}

    assert {name: number for name, number in found.items() if number} == allowed

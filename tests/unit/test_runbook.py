"""What the runbook tells its reader to type is what the command line takes."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from daybook.operate.program import app

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "runbook.md").read_text()

TYPED = sorted(set(re.findall(r"^ *(daybook .*)$", PAGE, re.MULTILINE)))
# In sentences commands are named without all that they need.
NAMED = sorted(set(re.findall(r"`daybook ([a-z][a-z ]*[a-z])`", PAGE)))


def parsed(command: Any, words: list[str], name: str = "daybook") -> None:
    """Parse the words as the program would, down to the last command, and run nothing. Raises click's UsageError."""
    context = command.make_context(name, words)
    if hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]  # noqa: SLF001 - click keeps them there for the next command
        assert rest or command.invoke_without_command, f"{name} by itself does nothing"
        if rest:
            name, following, left = command.resolve_command(context, rest)
            parsed(following, left, name)


@pytest.mark.parametrize("line", TYPED)
def test_every_command_in_the_runbook_is_one_that_can_be_typed(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)[1:]
    for file in (word for word in words if word.endswith(".json")):
        (tmp_path / file).write_text("{}")

    parsed(typer.main.get_command(app), words)

    assert words[-2:] == ["--stage", "prod"]


@pytest.mark.parametrize("name", NAMED)
def test_every_command_that_the_runbook_names_is_there(name: str) -> None:
    command: Any = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]


def test_what_changes_something_is_told_to_be_applied() -> None:
    changing = re.compile(r"daybook (pause|resume|rebuild|dead (retry|discard|edit|resolve))\b")

    assert [line for line in TYPED if changing.match(line) and "--apply" not in line] == []

"""Where options are said: behind the command that they are for."""

from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.operate.program import app


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments], prog_name="daybook", env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("typed", "should_be"),
    [
        ("--stage local status --check", "daybook status --check --stage local"),
        ("--stage=local dead retry --all", "daybook dead retry --all --stage=local"),
        ("--json trace order/1001", "daybook trace order/1001 --json"),
        ("audit --stage local check", "daybook audit check --stage local"),
        ("dead --apply retry --all", "daybook dead retry --all --apply"),
    ],
)
def test_who_says_an_option_before_its_command_is_told_what_to_type(typed: str, should_be: str) -> None:
    result = run(*typed.split())

    assert result.exit_code == 2
    assert f"put options behind the command: {should_be} " in result.stderr


@pytest.mark.parametrize("typed", ["--stag local", "stats --stage local", "statu status"])
def test_what_names_no_command_is_refused_without_a_guess(typed: str) -> None:
    result = run(*typed.split())

    assert result.exit_code == 2
    assert "behind the command" not in result.stderr


def test_what_the_program_itself_takes_is_taken_before_a_command() -> None:
    assert run("--version", "status").stdout.startswith("daybook ")
    assert "Examples" not in run("--help", "status").stdout

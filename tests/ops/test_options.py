"""Options must come after their command."""

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
def test_an_option_before_the_command_is_an_error_with_the_correct_order(typed: str, should_be: str) -> None:
    result = run(*typed.split())

    assert result.exit_code == 2
    assert f"put options after the command: {should_be} " in result.stderr


@pytest.mark.parametrize("typed", ["--stag local", "stats --stage local", "statu status"])
def test_an_unknown_command_is_an_error_without_a_suggested_order(typed: str) -> None:
    result = run(*typed.split())

    assert result.exit_code == 2
    assert "after the command" not in result.stderr


def test_options_of_the_program_are_accepted_before_a_command() -> None:
    assert run("--version", "status").stdout.startswith("daybook ")
    assert "Examples" not in run("--help", "status").stdout

"""`daybook doctor --first-deployment`: a walk through the checks of docs/first-deployment.md."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.operate.program import app
from daybook.operate.status import first_deployment
from daybook.operate.status.first_deployment import PAGE, checks

ROOT = Path(__file__).resolve().parents[2]
TABLE = """# The page

## Senders

Words before.

| do | must happen |
|---|---|
| `aws sqs send-message` to `daybook-prod-admit` | `AccessDenied` |
| `daybook send --stage prod` | it works |

## Other tables

| what | on AWS |
|---|---|
| root | may |

## Alarms

| do | must happen |
|---|---|
| disable a rule | an alarm |
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An application with this page."""
    monkeypatch.setattr(first_deployment, "application", lambda: SimpleNamespace(root=tmp_path))
    file = tmp_path / PAGE
    file.parent.mkdir()
    file.write_text(TABLE)
    return file


def walk(*replies: str, stage: str = "dev", options: tuple[str, ...] = ()) -> Any:
    text = "".join(f"{reply}\n" for reply in replies)
    return CliRunner().invoke(app, ["doctor", "--first-deployment", "--stage", stage, *options], input=text)


def listed() -> Mapping[str, Any]:
    lines = walk(options=("--json",)).stdout.splitlines()
    return {each["do"]: each["seen"] for each in map(json.loads, lines)}


def test_each_row_of_a_table_with_what_must_happen_is_a_check_for_the_stage(page: Path) -> None:
    assert [(each.section, each.do, each.expect) for each in checks(page.read_text(), "dev")] == [
        ("Senders", "`aws sqs send-message` to `daybook-dev-admit`", "`AccessDenied`"),
        ("Senders", "`daybook send --stage dev`", "it works"),
        ("Alarms", "disable a rule", "an alarm"),
    ]


def test_the_page_of_this_project_has_checks_with_two_columns_each() -> None:
    found = list(checks((ROOT / PAGE).read_text(), "prod"))

    assert len(found) > 20
    assert len({check.id for check in found}) == len(found)


def test_a_walk_asks_about_each_check_and_ends_well_when_all_were_seen(page: Path) -> None:
    assert page.exists()
    answered = walk("y", "y", "y")

    assert answered.exit_code == 0
    assert "Do: `daybook send --stage dev`" in answered.stdout
    assert "3 of 3 checks were seen as expected" in answered.stdout
    assert "Do:" not in walk().stdout


def test_an_interrupted_walk_continues_with_the_checks_that_are_open(page: Path) -> None:
    assert page.exists()
    assert walk("y").exit_code == 1  # the end of the input, as Ctrl-C

    answered = walk("q")

    assert "2 of 3, Senders" in answered.stdout
    assert "1 of 3, Senders" not in answered.stdout
    assert answered.exit_code == 1


def test_what_was_seen_instead_is_kept_and_shown_and_the_check_stays_open(page: Path) -> None:
    assert page.exists()
    walk("n", "it was let in", "s", "q")

    assert "it was let in" in walk("q").stdout
    first, *others = listed().values()
    assert (first["well"], first["note"]) == (False, "it was let in")
    assert others == [None, None]


def test_a_check_whose_text_has_changed_is_open_again(page: Path) -> None:
    walk("y", "y", "y")
    page.write_text(TABLE.replace("an alarm", "another alarm"))

    assert [seen is not None for seen in listed().values()] == [True, True, False]


def test_a_broken_file_of_answers_is_named(page: Path) -> None:
    walk("y")
    (file,) = (page.parents[1] / ".daybook").iterdir()
    file.write_text("{")

    assert (walk().exit_code, str(file) in walk().stderr) == (2, True)


def test_stages_are_walked_through_separately(page: Path) -> None:
    assert page.exists()
    walk("y", "y", "y")

    assert "0 of 3" in walk("q", stage="staging").stdout


def test_without_the_page_and_for_a_local_run_it_says_what_to_do(page: Path) -> None:
    page.unlink()
    assert (walk().exit_code, "restore it" in walk().stderr) == (2, True)
    assert (walk(stage="local").exit_code, "--stage prod" in walk(stage="local").stderr) == (2, True)

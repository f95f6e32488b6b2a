"""`daybook dead edit`: its output; its effect on admit is tested in tests/unit."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.operate.program import app
from daybook.store.ledger import DEAD
from tests.ops.interruption import interrupted_when
from tests.ops.world import World, an_order

REFUSED = "0b73e9a8-f681-85b0-ab42-8efcb5b144a6"


def edit(*options: str, dead_letter: str = REFUSED, given: str = "") -> Any:
    return CliRunner().invoke(app, ["dead", "edit", dead_letter, *options], input=given)


def an_envelope(**changes: object) -> dict[str, Any]:
    entry = an_order()
    came = {"version": "0", "id": "e-1", "account": "123456789012", "region": "eu-central-1", "resources": []}
    came |= {"source": entry["Source"], "detail-type": entry["DetailType"], "time": "2026-03-01T12:00:00Z"}
    return {**came, "detail": entry["Detail"], **changes}


@pytest.fixture
def refused(world: World) -> World:
    """A stage in which admit has rejected an order."""
    world.died(REFUSED, "admit", "ContractBroken", reason="OrderPlaced: lines: too few", body=json.dumps(an_envelope()))
    return world


@pytest.fixture
def form(refused: World) -> str:
    """The text that the command prints for editing."""
    assert refused
    return str(edit().stdout)


def test_the_event_is_printed_to_standard_output_and_the_reason_to_standard_error(refused: World) -> None:
    result = edit()

    assert result.exit_code == 0
    mendable = ("source", "detail-type", "time", "detail")
    assert json.loads(result.stdout) == {name: an_envelope()[name] for name in mendable}
    assert "Rejected: ContractBroken: OrderPlaced: lines: too few" in result.stderr
    assert f"daybook dead edit {REFUSED} --with FILE --reason TEXT --stage dev" in result.stderr
    assert refused.arrived() == []


def test_without_apply_it_prints_what_it_would_do_and_sends_nothing(refused: World, form: str, tmp_path: Path) -> None:
    (tmp_path / "corrected.json").write_text(form)

    result = edit("--with", "corrected.json")
    as_data = json.loads(edit("--with", "-", "--json", given=form).stdout)

    assert result.exit_code == 0, result.output
    assert f"Would send OrderPlaced from shop.checkout to admit, as event {as_data['event']}" in result.stdout
    assert "Nothing was changed. To apply it, repeat the command with --apply." in result.stdout
    assert as_data == {
        "dead_letter": f"{REFUSED}@admit",
        "event": as_data["event"],
        "type": "OrderPlaced",
        "source": "shop.checkout",
        "applied": False,
    }
    assert refused.arrived() == []


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [('"quantity": 2', '"quantity": 0', "lines.0.quantity"), ("{", "", "it is not JSON")],
)
def test_an_invalid_correction_is_an_error_and_nothing_is_sent(
    refused: World, form: str, right: str, wrong: str, expected: str
) -> None:
    result = edit("--with", "-", "--reason", "why", "--apply", given=form.replace(right, wrong, 1))

    assert result.exit_code == 2
    assert expected in result.stderr
    assert "Nothing was sent" in result.stderr
    assert refused.arrived() == []


@pytest.mark.parametrize("reason", [(), ("--reason", " "), ("--reason", "x" * 501)])
def test_without_a_valid_reason_nothing_is_sent(refused: World, form: str, reason: tuple[str, ...]) -> None:
    result = edit("--with", "-", "--apply", *reason, given=form)

    assert result.exit_code == 2
    assert "Nothing was changed" in result.stderr
    assert refused.arrived() == []


def test_a_stored_event_is_never_edited(world: World) -> None:
    dead_letter = world.died(world.recorded("OrderPlaced", "order/1001"), "place-order")

    result = edit(dead_letter=dead_letter)

    assert result.exit_code == 2
    assert "a stored event is never edited" in result.stderr


def test_an_unknown_dead_letter_is_an_error(world: World) -> None:
    result = edit(dead_letter="nobody")

    assert world
    assert result.exit_code == 1
    assert "daybook dead list --stage dev" in result.stderr


def test_the_text_of_an_editor_is_kept_until_it_is_used(refused: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "sed -i s/2026-03-01T12/2026-03-01T13/")

    result = edit("--editor")

    assert result.exit_code == 0, result.output
    assert "Would send OrderPlaced" in result.stdout
    kept = Path(result.stderr.split("Your text is in ")[1].split(":")[0])
    assert json.loads(kept.read_text())["time"] == "2026-03-01T13:00:00Z"
    assert stat.S_IMODE(kept.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
    assert refused.arrived() == []
    kept.unlink()


@pytest.mark.parametrize(("editor", "expected"), [("", "set VISUAL or EDITOR"), ("false", "the editor (false) failed")])
def test_a_missing_or_failing_editor_is_an_error(
    refused: World, monkeypatch: pytest.MonkeyPatch, editor: str, expected: str
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", editor)

    result = edit("--editor", "--reason", "why", "--apply")

    assert result.exit_code == 2
    assert expected in result.stderr
    Path(result.stderr.split("Your text is in ")[1].split(":")[0]).unlink()
    row = refused.connection.ledger.find(REFUSED, "admit")
    assert row is not None
    assert row.state == DEAD


def test_ctrl_c_ends_the_wait_and_prints_how_to_continue(refused: World, form: str) -> None:
    with interrupted_when(lambda: refused.waiting("admit")):
        result = edit("--with", "-", "--reason", "why", "--apply", given=form)

    assert result.exit_code == 130
    assert "repeat the command with the same event" in result.stderr
    row = refused.connection.ledger.find(REFUSED, "admit")
    assert row is not None
    assert row.state == DEAD

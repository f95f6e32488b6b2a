"""`daybook dead edit`, as far as the operator sees it; what it does is tried out beside admit itself, in tests/unit."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.operate.program import app
from daybook.store.ledger import DEAD
from tests.ops.interrupting import interrupted_when
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
    """A stage in which admit has refused an order."""
    world.died(REFUSED, "admit", "ContractBroken", reason="OrderPlaced: lines: too few", body=json.dumps(an_envelope()))
    return world


@pytest.fixture
def form(refused: World) -> str:
    """What the command prints to be mended."""
    assert refused
    return str(edit().stdout)


def test_the_event_goes_to_standard_output_alone_and_the_reason_beside_it(refused: World) -> None:
    result = edit()

    assert result.exit_code == 0
    mendable = ("source", "detail-type", "time", "detail")
    assert json.loads(result.stdout) == {name: an_envelope()[name] for name in mendable}
    assert "Refused: ContractBroken: OrderPlaced: lines: too few" in result.stderr
    assert f"daybook dead edit {REFUSED} --with FILE --reason TEXT --stage dev" in result.stderr
    assert refused.arrived() == []


def test_before_it_is_applied_it_is_said_and_nothing_is_sent(refused: World, form: str, tmp_path: Path) -> None:
    (tmp_path / "mended.json").write_text(form)

    result = edit("--with", "mended.json")
    as_data = json.loads(edit("--with", "-", "--json", given=form).stdout)

    assert result.exit_code == 0, result.output
    assert f"Would give OrderPlaced from shop.checkout to admit, as event {as_data['event']}" in result.stdout
    assert "Nothing was changed. To do it, repeat the command with --apply." in result.stdout
    assert as_data == {
        "dead_letter": f"{REFUSED}@admit",
        "event": as_data["event"],
        "type": "OrderPlaced",
        "source": "shop.checkout",
        "applied": False,
    }
    assert refused.arrived() == []


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [('"quantity": 2', '"quantity": 0', "lines.0.quantity"), ("{", "", "it is not JSON")],
)
def test_what_would_be_refused_is_said_in_a_sentence_and_nothing_is_sent(
    refused: World, form: str, right: str, wrong: str, told: str
) -> None:
    result = edit("--with", "-", "--reason", "why", "--apply", given=form.replace(right, wrong, 1))

    assert result.exit_code == 2
    assert told in result.stderr
    assert "Nothing was sent" in result.stderr
    assert refused.arrived() == []


@pytest.mark.parametrize("reason", [(), ("--reason", " "), ("--reason", "x" * 501)])
def test_without_a_reason_that_can_be_recorded_nothing_is_sent(
    refused: World, form: str, reason: tuple[str, ...]
) -> None:
    result = edit("--with", "-", "--apply", *reason, given=form)

    assert result.exit_code == 2
    assert "nothing was done" in result.stderr
    assert refused.arrived() == []


def test_what_is_stored_is_never_edited(world: World) -> None:
    dead_letter = world.died(world.recorded("OrderPlaced", "order/1001"), "place-order")

    result = edit(dead_letter=dead_letter)

    assert result.exit_code == 2
    assert "what is stored is never edited" in result.stderr


def test_what_is_no_dead_letter_is_said_so(world: World) -> None:
    result = edit(dead_letter="nobody")

    assert world
    assert result.exit_code == 1
    assert "daybook dead list --stage dev" in result.stderr


def test_an_editor_is_opened_on_the_event_and_what_was_written_is_kept_until_it_is_used(
    refused: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "sed -i s/2026-03-01T12/2026-03-01T13/")

    result = edit("--editor")

    assert result.exit_code == 0, result.output
    assert "Would give OrderPlaced" in result.stdout
    kept = Path(result.stderr.split("What you wrote is in ")[1].split(":")[0])
    assert json.loads(kept.read_text())["time"] == "2026-03-01T13:00:00Z"
    assert stat.S_IMODE(kept.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
    assert refused.arrived() == []
    kept.unlink()


@pytest.mark.parametrize(("editor", "told"), [("", "set VISUAL or EDITOR"), ("false", "the editor (false) has failed")])
def test_an_editor_that_is_not_there_or_fails_is_said_so(
    refused: World, monkeypatch: pytest.MonkeyPatch, editor: str, told: str
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", editor)

    result = edit("--editor", "--reason", "why", "--apply")

    assert result.exit_code == 2
    assert told in result.stderr
    Path(result.stderr.split("What you wrote is in ")[1].split(":")[0]).unlink()
    row = refused.connection.ledger.find(REFUSED, "admit")
    assert row is not None
    assert row.state == DEAD


def test_ctrl_c_ends_the_waiting_with_a_sentence_on_how_to_go_on(refused: World, form: str) -> None:
    with interrupted_when(lambda: refused.waiting("admit")):
        result = edit("--with", "-", "--reason", "why", "--apply", given=form)

    assert result.exit_code == 130
    assert "repeat the command with the same event" in result.stderr
    row = refused.connection.ledger.find(REFUSED, "admit")
    assert row is not None
    assert row.state == DEAD

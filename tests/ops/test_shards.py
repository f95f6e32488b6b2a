"""`daybook shards`: the number of the journal's shards is shown and announced."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.operations import ShardsAnnounced
from daybook.operate.program import app
from daybook.operate.shards.shards import AnnouncedMeanwhile, Announcement
from daybook.store.journal_shards import LEAD
from tests.ops.world import World

NOW = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["shards", *arguments])


def recorded(world: World) -> list[ShardsAnnounced]:
    items = world.connection.dynamodb.scan(TableName=world.names.store)["Items"]
    return [ShardsAnnounced.read(item["data"]["S"], version=1) for item in items]


def announced(world: World) -> dict[str, int]:
    return world.connection.journal_shards.announced()


def test_without_apply_it_prints_what_it_would_do_and_changes_nothing(world: World) -> None:
    result = run("64")

    assert result.exit_code == 0, result.output
    assert "64 shards instead of 8" in result.output
    assert (announced(world), recorded(world)) == ({}, [])


@pytest.mark.parametrize(
    ("minutes", "hour"), [(0, "2026-03-01T12"), (28, "2026-03-01T12"), (29, "2026-03-01T13"), (31, "2026-03-01T13")]
)
def test_a_number_is_announced_for_an_hour_that_begins_in_more_than_an_hour_and_recorded(
    world: World, minutes: int, hour: str
) -> None:
    now = NOW + timedelta(minutes=minutes)
    with time_machine.travel(now, tick=False):
        result = run("64", "--reason", "the sale", "--apply", "--json")

    assert result.exit_code == 0, result.output
    assert announced(world) == {hour: 64}
    (operation,) = recorded(world)
    assert (operation.shards, operation.reason) == (64, "the sale")
    assert clock.timestamp(operation.hour)[:13] == hour
    assert operation.hour > now + LEAD
    assert json.loads(result.stdout)["operation"] == operation.operation_id


def test_it_shows_the_number_and_what_is_announced(world: World) -> None:
    with time_machine.travel(NOW, tick=False) as now:
        run("64", "--apply")
        assert run().output == "The journal has 8 shards.\nFrom 2026-03-01T12:00Z on it has 64.\n"
        assert json.loads(run("--json").output) == {"shards": 8, "announced": {"2026-03-01T12": 64}}
        assert announced(world) == {"2026-03-01T12": 64}
        now.move_to(NOW + timedelta(hours=2))

        assert run().output == "The journal has 64 shards.\n"


def test_a_number_that_is_announced_already_is_not_announced_again(world: World) -> None:
    with time_machine.travel(NOW, tick=False):
        run("64", "--apply")
        again = run("64", "--apply")

    assert again.exit_code == 0
    assert "nothing to do" in again.output
    assert len(recorded(world)) == 1


@pytest.mark.parametrize("number", ["0", "7", "12", "264"])
def test_a_number_that_would_break_the_order_of_streams_is_an_error(world: World, number: str) -> None:
    result = run(number, "--apply")

    assert result.exit_code == 2
    assert "use a multiple of 8 up to 256" in result.output
    assert announced(world) == {}


# Guards: the record and the row are one transaction, on the condition of what was read.
def test_of_two_operators_at_the_same_time_one_must_repeat_and_only_the_other_is_recorded(world: World) -> None:
    late = Announcement(world.connection, 16, NOW)
    Announcement(world.connection, 64, NOW).commit("first")

    with pytest.raises(AnnouncedMeanwhile):
        late.commit("second")

    assert [operation.reason for operation in recorded(world)] == ["first"]
    assert announced(world) == {"2026-03-01T12": 64}

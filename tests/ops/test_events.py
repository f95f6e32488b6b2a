"""`daybook events` lists recorded events, the newest first."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.operate.program import app
from tests.ops.world import World, ms

HOUR = 3_600_000  # milliseconds


def events(*options: str) -> Any:
    return CliRunner().invoke(app, ["events", *options])


def listed(*options: str) -> list[str]:
    """Streams, as listed."""
    result = events("--json", *options)
    assert result.exit_code == 0, result.output
    return [json.loads(line)["stream"] for line in result.stdout.splitlines()]


def test_events_of_all_hours_and_shards_are_listed_newest_first(world: World) -> None:
    for number in range(20):
        world.recorded("OrderPlaced", f"order/{number}", after=-number * HOUR)

    assert listed() == [f"order/{number}" for number in range(20)]
    assert listed("--limit", "7") == [f"order/{number}" for number in range(7)]


def test_only_events_of_the_last_day_are_listed_by_default(world: World) -> None:
    world.recorded("OrderPlaced", "order/new")
    world.recorded("OrderPlaced", "order/old", after=-25 * HOUR)

    assert listed() == ["order/new"]
    assert listed("--since", "3d") == ["order/new", "order/old"]


def test_since_is_inclusive_and_until_is_exclusive(world: World) -> None:
    world.recorded("OrderPlaced", "order/first", after=0)
    world.recorded("OrderPlaced", "order/second", after=1000)
    world.recorded("OrderPlaced", "order/third", after=2000)

    between = ("--since", ms(0), "--until", ms(2000))

    assert listed(*between) == ["order/second", "order/first"]
    assert listed(*between, "--stream", "order/third") == []
    assert listed(*between, "--stream", "order/first") == ["order/first"]


def test_events_are_listed_by_type_and_by_kind_of_stream(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001")
    world.recorded("StockReceived", "stock/mug", after=1)
    world.recorded("OrderPlaced", "orders-of-others/1", after=2)

    assert listed("--type", "StockReceived") == ["stock/mug"]
    assert listed("--stream", "order/") == ["order/1001"]
    assert listed("--stream", "order") == ["order/1001"]
    assert listed("--stream", "order/", "--type", "StockReceived") == []


def test_one_stream_is_listed_consistently_from_the_store(world: World) -> None:
    for number in range(3):
        world.recorded("StockReceived", "stock/mug", after=number)
    world.recorded("StockReceived", "stock/mugs", after=9)

    result = events("--stream", "stock/mug", "--json")

    assert [json.loads(line)["sequence"] for line in result.stdout.splitlines()] == [3, 2, 1]
    assert result.stderr == ""


def test_a_limit_lists_the_newest_events_of_a_shard(world: World) -> None:
    for number in range(3):
        world.recorded("StockReceived", "stock/mug", after=number)

    for stream in ("stock/", "stock/mug"):
        result = events("--limit", "1", "--stream", stream, "--json")
        assert [json.loads(line)["sequence"] for line in result.stdout.splitlines()] == [3]


def test_it_says_whether_there_are_more_events(world: World) -> None:
    for number in range(3):
        world.recorded("OrderPlaced", f"order/{number}")

    for stream in ((), ("--stream", "order/")):
        assert "Only the newest 2 are shown" in events("--limit", "2", *stream).stderr
        assert "are shown" not in events("--limit", "3", *stream).stderr


def test_a_list_up_to_now_notes_that_the_newest_events_may_be_missing(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001")

    assert "may be missing" in events().stderr
    assert "may be missing" not in events("--until", "10m").stderr


def test_each_line_has_time_type_place_and_id(world: World) -> None:
    event = world.recorded("OrderPlaced", "order/1001").metadata

    assert events().stdout.split() == [f"{event.recorded_at[:23]}Z", "OrderPlaced", "order/1001", "#1", event.id]


def test_json_has_all_attributes_of_the_journal(world: World) -> None:
    event = world.recorded("OrderPlaced", "order/1001").metadata

    assert json.loads(events("--json").stdout) == {
        "id": event.id,
        "type": "OrderPlaced",
        "stream": "order/1001",
        "sequence": 1,
        "recorded_at": event.recorded_at,
        "correlation_id": event.id,
        "causation_id": None,
    }


def test_no_events_is_not_an_error_and_a_misspelled_type_has_a_suggestion(world: World) -> None:  # noqa: ARG001 - it is deployed
    result = events("--type", "OrderPlacd")

    assert result.exit_code == 0
    assert result.stdout == ""
    assert "did you mean OrderPlaced?" in result.stderr


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("order/1001", "No events on order/1001 since 24h\n"),
        ("order/", "No events on any stream order/… since 24h\n"),
        (
            "1001",
            "No events on any stream 1001/… since 24h; the name of a stream has the form KIND/ID",
        ),
    ],
)
def test_an_empty_stream_is_noted_with_the_format_of_stream_names(
    world: World,  # noqa: ARG001 - it is deployed
    stream: str,
    expected: str,
) -> None:
    result = events("--stream", stream)

    assert (result.exit_code, result.stdout) == (0, "")
    assert expected in result.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--since", "yesterday"), "is not a time"),
        (("--since", "2026-03-01T09:30:00"), "is not a time"),
        (("--since", "999999w"), "before the year 1"),
        (("--since", "1h", "--until", "2h"), "is not before"),
        (("--since", "2000-01-01T00:00:00Z"), "longer than 366 days"),
    ],
)
def test_invalid_times_are_an_error(world: World, options: tuple[str, ...], expected: str) -> None:  # noqa: ARG001
    result = events(*options)

    assert result.exit_code == 2
    assert expected in result.stderr

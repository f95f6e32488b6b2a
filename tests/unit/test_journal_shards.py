"""The number of the journal's shards changes from an hour on: readers find every event, each stream in order."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.runtime.names import Names
from daybook.store.event_store import EventStore, to_item
from daybook.store.journal import Journal, Span
from daybook.store.journal_shards import HOUR, LEAD, PARTS, BadShards, JournalShards, journal_bucket, journal_shard
from daybook.store.transaction import Backoff, ConditionsFailed, write
from daybook.testing.world import NAMES, World
from tests.application.builders import a_loan, received_books, recorded
from tests.unit import faults
from tests.unit.bodies import running
from tests.unit.contracts import BookReturned

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURS = 4
# From an hour after noon on.
NUMBERS: tuple[dict[str, int], ...] = (
    {},
    {"2026-03-01T13": 64},
    {"2026-03-01T13": 64, "2026-03-01T14": 16, "2026-03-01T15": 8},
)


def new(world: World) -> JournalShards:
    """The numbers, as a process reads them that starts now."""
    return JournalShards(world.client, NAMES.ledger, NAMES.journal_shards)


def announce(world: World, hour: datetime, number: int) -> None:
    shards = new(world)
    part = shards.announcement(hour, number, shards.announced())
    write(world.client, {"announcement": part}, Backoff(lambda: 60))


def put(world: World, envelope: Envelope, shards: int) -> None:
    """Write the event as a function that uses this number of shards."""
    world.client.put_item(TableName=NAMES.store, Item=to_item(envelope, shards))


def journal(world: World) -> Journal:
    return Journal(world.client, NAMES.store, new(world))


def found(world: World) -> list[str]:
    """The ids of all events that readers find from noon on, sorted."""
    span, reader = Span(NOON, NOON + HOURS * HOUR), journal(world)
    return sorted(e.id for hour in reader.hours(span) for bucket in hour for e in reader.entries(bucket, span))


class Table:
    """The ledger's table, which can be out of reach."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.is_there = True

    def get_item(self, **request: Any) -> Any:
        if not self.is_there:
            raise ConnectionError
        return self._client.get_item(**request)


# Guards: what was read stays valid for LEAD.
def test_numbers_that_cannot_be_read_again_are_used_as_long_as_they_are_valid(world: World) -> None:
    announce(world, NOON, 16)
    table = Table(world.client)
    shards = JournalShards(table, NAMES.ledger, NAMES.journal_shards)
    with time_machine.travel(NOON, tick=False) as time:
        assert shards.of_hour(clock.timestamp(NOON)) == 16
        table.is_there = False
        time.shift(LEAD * 0.9)
        assert shards.of_hour(clock.timestamp(NOON)) == 16
        time.shift(LEAD)
        with pytest.raises(ConnectionError):
            shards.of_hour(clock.timestamp(NOON))


def test_a_number_that_nobody_can_announce_is_an_error_that_names_the_row(world: World) -> None:
    part = new(world).announcement(NOON, 0, {})
    write(world.client, {"announcement": part}, Backoff(lambda: 60))

    with pytest.raises(BadShards, match="#shards"):
        new(world).of_hour(clock.timestamp(NOON))


def test_a_stage_has_eight_shards_and_prod_sixty_four_until_another_number_is_announced(world: World) -> None:
    assert [Names(stage).journal_shards for stage in ("local", "dev", "staging", "prod")] == [8, 8, 8, 64]
    assert new(world).of_hour(clock.timestamp(NOON)) == 8


def test_an_announced_number_is_valid_from_its_hour_until_that_of_the_next(world: World) -> None:
    announce(world, NOON, 64)
    announce(world, NOON + 3 * HOUR, 16)
    before, *after = (clock.timestamp(NOON + hours * HOUR - timedelta(microseconds=1)) for hours in range(5))

    assert new(world).of_hour(before) == 8
    assert [new(world).of_hour(each) for each in after] == [64, 64, 64, 16]


# Guards: a process reads the row again.
def test_a_process_that_runs_already_knows_the_number_when_its_hour_begins(world: World) -> None:
    with time_machine.travel(NOON, tick=False) as now:
        running_process = new(world)
        assert running_process.of_hour(clock.now()) == 8
        now.move_to(NOON + timedelta(minutes=1))
        announce(world, NOON + 2 * HOUR, 64)
        while datetime.now(UTC) < NOON + 2 * HOUR:
            assert running_process.of_hour(clock.now()) == 8
            now.shift(LEAD / 4)

        assert running_process.of_hour(clock.now()) == 64


# Guards: EventStore.append uses the number of the event's hour.
def test_a_function_writes_to_the_shards_of_the_hour(world: World) -> None:
    store = EventStore(world.client, NAMES.store, new(world))
    announce(world, NOON, 64)
    for number in range(40):
        envelope = recorded(received_books(f"isbn-{number}"), now=clock.timestamp(NOON))
        write(world.client, {"event": store.append(envelope)}, Backoff(lambda: 60))

    expected = {journal_bucket(clock.timestamp(NOON), journal_shard(f"book/isbn-{number}", 64)) for number in range(40)}
    assert {item["bucket"] for item in world.items("store")} == expected


def test_a_delivery_reads_no_number_that_its_process_knows(world: World) -> None:
    calls = faults.calls()
    world.receive(running(lambda work: work.emit(BookReturned(loan_id="1001")), BookReturned), a_loan())

    assert "GetItem" not in calls


# Guards: readers take the larger one of the numbers of the hour and of the hour before.
@pytest.mark.parametrize(("before", "after"), [(8, 64), (64, 8)])
def test_readers_find_the_events_of_processes_that_use_the_number_of_the_hour_before(
    world: World, before: int, after: int
) -> None:
    announce(world, NOON, before)
    announce(world, NOON + 2 * HOUR, after)
    for number in range(100):
        time = clock.timestamp(NOON + 2 * HOUR + timedelta(minutes=number / 2))
        put(world, recorded(received_books(f"isbn-{number}"), now=time, id=f"{number:03}"), before)
        put(world, recorded(received_books(f"other-{number}"), now=time, id=f"{number:03}-other"), after)

    assert found(world) == sorted(f"{number:03}{other}" for number in range(100) for other in ("", "-other"))


# Guards: each number is a multiple of PARTS. A replay reads the parts in parallel, each in order.
@pytest.mark.parametrize("announced", NUMBERS, ids=len)
def test_each_stream_is_in_one_part_in_its_order_whatever_the_numbers_of_its_hours(
    world: World, announced: dict[str, int]
) -> None:
    for hour, number in announced.items():
        announce(world, clock.moment(f"{hour}:00:00Z"), number)
    shards, streams, expected = (
        new(world),
        [f"isbn-{number}" for number in range(30)],
        defaultdict[str, list[str]](list),
    )
    for isbn in streams:
        last = None
        for each in range(2 * HOURS):
            time = clock.timestamp(NOON + each * HOUR / 2)
            last = recorded(received_books(isbn), after=last, now=time, id=f"{isbn}-{each}")
            expected[last.metadata.stream].append(last.metadata.id)
            put(world, last, shards.of_hour(time))

    read = defaultdict[str, list[str]](list)
    for part in range(PARTS):
        of_part = [e for hour in journal(world).part(part, Span(NOON, NOON + HOURS * HOUR)) for e in hour]
        assert not read.keys() & {e.stream for e in of_part}
        assert of_part == sorted(of_part, key=lambda e: e.order)
        for e in of_part:
            read[e.stream].append(e.id)
    assert read == expected


# Guards: the condition of the announcement.
def test_of_two_numbers_that_are_announced_at_the_same_time_one_is_rejected(world: World) -> None:
    shards = new(world)
    known = shards.announced()
    announce(world, NOON, 64)

    with pytest.raises(ConditionsFailed):
        write(world.client, {"announcement": shards.announcement(NOON + HOUR, 16, known)}, Backoff(lambda: 60))
    assert shards.announced() == {"2026-03-01T12": 64}

"""The event store: streams without gaps, a hash chain through each stream, and all events in the journal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybook.contracts.envelope import GENESIS, Envelope
from daybook.store.attributes import pack, unpack_item
from daybook.store.event_store import (
    Head,
    NotAnEvent,
    from_item,
    successor,
    to_item,
)
from daybook.store.journal_shards import journal_bucket, journal_shard
from daybook.testing.keys import writer
from daybook.testing.world import World
from tests.application.builders import a_draft, a_reservation, a_shortage, received_books, recorded

EARLY, LATE = "2026-03-01T09:30:00.000000Z", "2026-03-01T10:00:00.000000Z"


def test_a_stream_has_no_gaps_and_each_event_names_its_predecessor() -> None:
    first = recorded(received_books())
    second = recorded(received_books(), after=first)
    third = recorded(received_books(), after=second)

    assert [event.metadata.sequence for event in (first, second, third)] == [1, 2, 3]
    assert [event.previous for event in (first, second, third)] == [GENESIS, first.hash, second.hash]


def test_an_event_is_never_recorded_before_its_predecessor_even_if_the_clock_steps_back() -> None:
    first = recorded(received_books(), now=LATE)

    assert recorded(received_books(), after=first, now=EARLY).metadata.recorded_at == LATE


def test_an_event_without_a_cause_begins_a_correlation() -> None:
    event = recorded(a_reservation(), id="e1")

    assert event.metadata.correlation_id == "e1"
    assert event.metadata.causation_id is None
    assert not event.in_correlation_index


def test_an_event_that_continues_a_stream_joins_its_correlation_with_the_head_as_cause() -> None:
    first = recorded(received_books(), id="e1")
    second = recorded(received_books(), after=first, id="e2")
    third = recorded(received_books(), after=second, id="e3")

    assert third.metadata.correlation_id == "e1"
    assert third.metadata.causation_id == "e2"
    assert not third.in_correlation_index


@pytest.mark.parametrize(
    ("given_id", "expected"),
    [
        ({"correlation_id": "own"}, ("own", None)),
        ({"correlation_id": "own", "causation_id": "cause"}, ("own", "cause")),
        ({"causation_id": "cause"}, ("e1", "cause")),
    ],
)
def test_an_event_keeps_the_correlation_and_the_cause_that_it_has(
    given_id: dict[str, str], expected: tuple[str, str | None]
) -> None:
    metadata = recorded(received_books(), after=recorded(received_books(), id="e1"), **given_id).metadata

    assert (metadata.correlation_id, metadata.causation_id) == expected


def test_the_first_event_of_a_correlation_on_another_stream_is_in_the_correlation_index() -> None:
    elsewhere = recorded(a_reservation(), correlation_id="e1")
    after_it = recorded(a_shortage(), after=elsewhere, correlation_id="e1")

    assert elsewhere.in_correlation_index
    assert not after_it.in_correlation_index
    assert unpack_item(to_item(elsewhere))["correlation"] == "e1"


def test_an_event_on_the_first_stream_of_its_correlation_is_not_in_the_correlation_index() -> None:
    first = recorded(received_books(), id="e1")

    assert not recorded(received_books(), after=first, correlation_id="e1").in_correlation_index
    assert "correlation" not in to_item(first)


@given(st.lists(st.sampled_from(["new", "a", "b"] + [f"e{number}" for number in range(6)]), max_size=8))
def test_every_run_of_a_correlation_begins_with_its_first_event_or_is_in_the_index(correlations: list[str]) -> None:
    # Each event begins a correlation, or joins one of this stream or of another.
    events: list[Envelope] = []
    for number, correlation in enumerate(correlations):
        head = events[-1] if events else None
        given_id = None if correlation == "new" else correlation
        events.append(recorded(received_books(), after=head, id=f"e{number}", correlation_id=given_id))

    before = None
    for event in events:
        m = event.metadata
        begins = m.correlation_id != before
        assert event.in_correlation_index == (begins and m.id != m.correlation_id)
        before = m.correlation_id


def test_the_journal_keeps_a_stream_in_one_shard_and_in_order() -> None:
    first = recorded(received_books(), now=EARLY)
    items = [unpack_item(to_item(event)) for event in (first, recorded(received_books(), after=first, now=EARLY))]

    assert [item["bucket"] for item in items] == [journal_bucket(EARLY, journal_shard("book/emma", 8))] * 2
    assert items[0]["position"] == f"{EARLY}#book/emma#000000000001"
    assert items[0]["position"] < items[1]["position"]


def test_the_journal_begins_a_new_bucket_each_hour() -> None:
    assert journal_bucket(EARLY, 3) == "2026-03-01T09#3"
    assert journal_bucket(LATE, 3) == "2026-03-01T10#3"


def test_the_journal_uses_all_of_its_shards() -> None:
    assert {journal_shard(f"loan/{number}", 64) for number in range(1000)} == set(range(64))


@pytest.mark.parametrize("cause", [None, "e1"])
def test_an_event_that_is_read_from_its_item_equals_the_original(cause: str | None) -> None:
    event = recorded(correlation_id=cause, causation_id=cause)
    assert from_item(to_item(event)) == event


PARTS = sorted(set(to_item(recorded(now=EARLY))) - {"bucket", "position"})


@pytest.mark.parametrize("name", PARTS)
def test_an_item_without_a_part_of_an_event_is_not_an_event(name: str) -> None:
    item = to_item(recorded())
    del item[name]

    with pytest.raises(NotAnEvent):
        from_item(item)


@pytest.mark.parametrize("name", PARTS)
def test_an_item_with_another_value_in_place_of_an_event_is_not_an_event(name: str) -> None:
    # A process outside of this system may write any item; publish must not fail at it.
    with pytest.raises(NotAnEvent):
        from_item(to_item(recorded()) | {name: pack(["x"])})


@pytest.mark.parametrize("attribute", [{}, {"N": "x"}, {"S": "a", "N": "1"}, "text", None, {"N": "Infinity"}], ids=repr)
def test_an_item_that_is_not_in_dynamodbs_format_is_not_an_event(attribute: object) -> None:
    with pytest.raises(NotAnEvent):
        from_item(to_item(recorded()) | {"sequence": attribute})


def test_the_store_reads_streams_in_order_and_knows_their_heads(world: World) -> None:
    first = recorded(received_books())
    second = recorded(received_books(), after=first)
    world.append(second, first, recorded(received_books("ulysses")))

    assert world.stream("book/emma") == [first, second]
    assert list(world.store.stream("book/emma", after=1)) == [second]
    assert world.store.head("book/emma") == Head.at(second)
    assert world.store.head("book/none") is None


def test_the_store_finds_the_events_of_a_correlation_on_other_streams(world: World) -> None:
    began = recorded(id="e1")
    world.append(began, recorded(a_reservation(), correlation_id="e1"), recorded(received_books("ulysses")))

    assert list(world.store.positions_of_correlation("e1")) == [("reservation/1001", 1)]


def test_the_head_of_a_long_stream_is_its_newest_event() -> None:
    head: Head | None = None
    for _ in range(12):
        head = Head.at(successor(a_draft(received_books()), head, EARLY, writer("consumer")))

    assert head
    assert head.sequence == 12

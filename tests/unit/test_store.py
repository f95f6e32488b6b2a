"""The store: streams without gaps, each event chained to the one before, all of it in the journal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybook.contracts.envelope import GENESIS, Envelope
from daybook.store.attributes import pack, unpack_item
from daybook.store.event_store import (
    JOURNAL_SHARDS,
    Head,
    NotAnEvent,
    from_item,
    journal_bucket,
    journal_shard,
    successor,
    to_item,
)
from tests.unit.builders import a_draft, a_reservation, a_shortage, goods, recorded
from tests.unit.world import World

EARLY, LATE = "2026-03-01T09:30:00.000000Z", "2026-03-01T10:00:00.000000Z"


def test_a_stream_has_no_gaps_and_each_event_names_the_one_before() -> None:
    first = recorded(goods())
    second = recorded(goods(), after=first)
    third = recorded(goods(), after=second)

    assert [event.metadata.sequence for event in (first, second, third)] == [1, 2, 3]
    assert [event.previous for event in (first, second, third)] == [GENESIS, first.hash, second.hash]


def test_an_event_is_never_recorded_before_its_predecessor_even_when_the_clock_steps_back() -> None:
    first = recorded(goods(), now=LATE)

    assert recorded(goods(), after=first, now=EARLY).metadata.recorded_at == LATE


def test_an_event_of_its_own_begins_a_story() -> None:
    event = recorded(a_reservation(), id="e1")

    assert event.metadata.correlation_id == "e1"
    assert event.metadata.causation_id is None
    assert not event.story


def test_an_event_that_continues_a_stream_joins_its_story_with_the_head_as_cause() -> None:
    first = recorded(goods(), id="e1")
    second = recorded(goods(), after=first, id="e2")
    third = recorded(goods(), after=second, id="e3")

    assert third.metadata.correlation_id == "e1"
    assert third.metadata.causation_id == "e2"
    assert not third.story


@pytest.mark.parametrize(
    ("brought", "expected"),
    [
        ({"correlation_id": "own"}, ("own", None)),
        ({"correlation_id": "own", "causation_id": "cause"}, ("own", "cause")),
        ({"causation_id": "cause"}, ("e1", "cause")),
    ],
)
def test_an_event_keeps_the_story_and_the_cause_that_it_brings(
    brought: dict[str, str], expected: tuple[str, str | None]
) -> None:
    metadata = recorded(goods(), after=recorded(goods(), id="e1"), **brought).metadata

    assert (metadata.correlation_id, metadata.causation_id) == expected


def test_an_event_on_another_stream_than_its_storys_first_is_in_the_index_of_stories() -> None:
    elsewhere = recorded(a_reservation(), correlation_id="e1")
    after_it = recorded(a_shortage(), after=elsewhere, correlation_id="e1")

    assert elsewhere.story
    assert after_it.story
    assert unpack_item(to_item(elsewhere))["story"] == "e1"


def test_an_event_on_the_stream_where_its_story_began_is_not_in_the_index() -> None:
    first = recorded(goods(), id="e1")

    assert not recorded(goods(), after=first, correlation_id="e1").story
    assert "story" not in to_item(first)


@given(st.lists(st.sampled_from(["new", "a", "b"] + [f"e{number}" for number in range(6)]), max_size=8))
def test_no_event_of_a_story_is_both_on_a_foreign_stream_and_out_of_the_index(stories: list[str]) -> None:
    # Each event begins a story, or joins one of this stream or of another: then it must be found by the index.
    events: list[Envelope] = []
    for number, story in enumerate(stories):
        head = events[-1] if events else None
        brought = None if story == "new" else story
        events.append(recorded(goods(), after=head, id=f"e{number}", correlation_id=brought))

    began_here = set()
    for event in events:
        m = event.metadata
        if m.id == m.correlation_id:
            began_here.add(m.id)
        assert event.story or m.correlation_id in began_here


def test_the_journal_keeps_a_stream_in_one_shard_and_puts_it_in_order() -> None:
    first = recorded(goods(), now=EARLY)
    items = [unpack_item(to_item(event)) for event in (first, recorded(goods(), after=first, now=EARLY))]

    assert [item["bucket"] for item in items] == [journal_bucket(EARLY, journal_shard("stock/mug"))] * 2
    assert items[0]["position"] == f"{EARLY}#stock/mug#000000000001"
    assert items[0]["position"] < items[1]["position"]


def test_the_journal_begins_a_new_bucket_each_hour() -> None:
    assert journal_bucket(EARLY, 3) == "2026-03-01T09#3"
    assert journal_bucket(LATE, 3) == "2026-03-01T10#3"


def test_the_journal_uses_all_of_its_shards() -> None:
    assert {journal_shard(f"order/{number}") for number in range(200)} == set(range(JOURNAL_SHARDS))


@pytest.mark.parametrize("cause", [None, "e1"])
def test_an_event_is_read_back_from_its_item_as_it_was(cause: str | None) -> None:
    event = recorded(correlation_id=cause, causation_id=cause)
    assert from_item(to_item(event)) == event


PARTS = sorted(set(to_item(recorded(now=EARLY))) - {"bucket", "position"})


@pytest.mark.parametrize("name", PARTS)
def test_an_item_that_lacks_part_of_an_event_is_none(name: str) -> None:
    item = to_item(recorded())
    del item[name]

    with pytest.raises(NotAnEvent):
        from_item(item)


@pytest.mark.parametrize("name", PARTS)
def test_an_item_with_something_else_in_an_events_place_is_none(name: str) -> None:
    # Whoever writes past this system may write anything; publish must not stumble over it.
    with pytest.raises(NotAnEvent):
        from_item(to_item(recorded()) | {name: pack(["x"])})


@pytest.mark.parametrize("attribute", [{}, {"N": "x"}, {"S": "a", "N": "1"}, "text", None, {"N": "Infinity"}], ids=repr)
def test_an_item_that_is_not_dynamodbs_is_no_event(attribute: object) -> None:
    with pytest.raises(NotAnEvent):
        from_item(to_item(recorded()) | {"sequence": attribute})


def test_the_store_reads_streams_in_order_and_knows_their_heads(world: World) -> None:
    first = recorded(goods())
    second = recorded(goods(), after=first)
    world.append(second, first, recorded(goods("poster")))

    assert world.stream("stock/mug") == [first, second]
    assert list(world.store.stream("stock/mug", after=1)) == [second]
    assert world.store.head("stock/mug") == Head.at(second)
    assert world.store.head("stock/none") is None


def test_the_store_finds_a_story_on_the_streams_it_went_to(world: World) -> None:
    began = recorded(id="e1")
    world.append(began, recorded(a_reservation(), correlation_id="e1"), recorded(goods("poster")))

    assert list(world.store.story("e1")) == [("reservation/1001", 1)]


def test_the_head_of_a_long_stream_is_its_newest_event() -> None:
    head: Head | None = None
    for _ in range(12):
        head = Head.at(successor(a_draft(goods()), head, EARLY))

    assert head
    assert head.sequence == 12

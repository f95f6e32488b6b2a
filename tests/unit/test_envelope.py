"""A recorded event has a hash over all its parts, and an id that is the same each time it is computed."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybook.contracts.envelope import (
    GENESIS,
    MAX_EVENT_BYTES,
    Envelope,
    EventTooLarge,
    Metadata,
    NotAnEnvelope,
    Pointer,
    digest,
    read_metadata,
    read_pointer,
)
from daybook.contracts.identity import admitted_id, emitted_id
from daybook.store.attributes import pack, pack_item, unpack, unpack_item
from daybook.store.event_store import from_item, to_item
from tests.application.builders import a_loan, from_the_bus, metadata_of, received_books, recorded

METADATA = [field.name for field in dataclasses.fields(Metadata)]


def hash_of(envelope: Envelope) -> bytes:
    return digest(envelope.metadata, envelope.data, envelope.source, envelope.previous, envelope.writer)


def test_the_hash_chain_of_a_stream_can_be_verified() -> None:
    first = recorded(received_books())
    second = recorded(received_books(), after=first)

    assert [first.previous, second.previous] == [GENESIS, first.hash]
    assert [hash_of(first), hash_of(second)] == [first.hash, second.hash]


@pytest.mark.parametrize("name", METADATA)
def test_a_change_of_any_metadata_changes_the_hash(name: str) -> None:
    kept = recorded(causation_id="cause")
    value = getattr(kept.metadata, name)
    other: Any = value + 1 if isinstance(value, int) else value + "x"
    changed = dataclasses.replace(kept.metadata, **{name: other})

    assert hash_of(dataclasses.replace(kept, metadata=changed)) != kept.hash


@pytest.mark.parametrize("name", ["data", "source", "previous", "writer"])
def test_a_change_of_any_other_part_changes_the_hash(name: str) -> None:
    kept = recorded()
    value = getattr(kept, name)
    changed = dataclasses.replace(kept, **{name: value + (b" " if isinstance(value, bytes) else " ")})

    assert hash_of(changed) != kept.hash
    assert not changed.is_unchanged


def test_a_consumer_reads_exactly_what_was_stored() -> None:
    kept = recorded(a_loan(reader={"name": "Ädá “Lövelace” 🦉", "email": "ada@example.com"}))

    assert from_item(to_item(kept)) == kept


def sized(size: int) -> Envelope:
    """An event whose size is `size` bytes for EventBridge."""

    def holding(characters: int) -> Envelope:
        return recorded(id="e" * 36, now="2026-03-01T12:00:00.000000Z", data=json.dumps({"note": "x" * characters}))

    empty = holding(0)
    # The size for EventBridge: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
    counted = 14 + len(empty.source) + len(empty.metadata.type) + len(empty.shared_detail.encode())
    return holding(size - counted)


def test_an_event_may_have_64_kib_and_no_more() -> None:
    assert sized(MAX_EVENT_BYTES)
    with pytest.raises(EventTooLarge, match="65537 bytes"):
        sized(MAX_EVENT_BYTES + 1)


def test_the_size_is_counted_in_bytes() -> None:
    with pytest.raises(EventTooLarge):
        recorded(data=json.dumps({"note": "🦉" * (MAX_EVENT_BYTES // 4)}, ensure_ascii=False))


@pytest.mark.parametrize(
    "detail", [{}, [], "text", None, {"metadata": {}}, {"metadata": [], "data": {}}, {"data": {}}], ids=repr
)
def test_a_detail_without_a_pointer_is_not_an_envelope(detail: dict[str, object]) -> None:
    with pytest.raises(NotAnEnvelope):
        read_pointer(detail)


@pytest.mark.parametrize("value", [None, 1.5, True, [], {}], ids=repr)
@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Pointer)])
def test_a_pointer_with_a_wrong_type_is_not_an_envelope(name: str, value: object) -> None:
    detail = json.loads(from_the_bus(recorded(), **{name: value}))["detail"]

    with pytest.raises(NotAnEnvelope, match=name):
        read_pointer(detail)


@pytest.mark.parametrize("value", [None, 1.5, True, [], {}], ids=repr)
@pytest.mark.parametrize("name", METADATA)
def test_metadata_with_a_wrong_type_are_not_an_envelope(name: str, value: object) -> None:
    if (name, value) == ("causation_id", None):
        value = 1

    with pytest.raises(NotAnEnvelope, match=name):
        read_metadata(metadata_of(recorded()) | {name: value})


@pytest.mark.parametrize("name", ["time", "recorded_at"])
def test_metadata_with_an_invalid_time_are_not_an_envelope(name: str) -> None:
    with pytest.raises(NotAnEnvelope, match=name):
        read_metadata(metadata_of(recorded()) | {name: "yesterday"})


def test_the_detail_is_a_pointer_without_data_or_producer() -> None:
    kept = recorded()

    assert json.loads(kept.detail) == {"metadata": dataclasses.asdict(kept.pointer)}
    assert json.loads(kept.shared_detail) == {**json.loads(kept.detail), "data": json.loads(kept.data)}


def test_ids_of_external_events_are_stable_and_unique() -> None:
    one = admitted_id("1", "shop", "a")

    assert one == admitted_id("1", "shop", "a")
    assert len({one, admitted_id("2", "shop", "a"), admitted_id("1", "shop2", "a"), admitted_id("1", "shop", "b")}) == 4
    assert admitted_id("1", "shop a", "b") != admitted_id("1", "shop", "a b")


def test_ids_of_emitted_events_are_stable_and_unique() -> None:
    one = emitted_id("cause", "reserve-books", "BooksReserved", 0)

    assert one == emitted_id("cause", "reserve-books", "BooksReserved", 0)
    others = {
        emitted_id("other", "reserve-books", "BooksReserved", 0),
        emitted_id("cause", "open-loan", "BooksReserved", 0),
        emitted_id("cause", "reserve-books", "BooksUnavailable", 0),
        emitted_id("cause", "reserve-books", "BooksReserved", 1),
    }
    assert len(others | {one}) == 5


values = st.recursive(
    st.none()
    | st.booleans()
    | st.text()
    | st.binary()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(values)
def test_an_unpacked_value_equals_the_original(value: object) -> None:
    assert unpack(pack(value)) == value


@given(st.dictionaries(st.text(min_size=1), values))
def test_an_unpacked_item_equals_the_original(item: dict[str, object]) -> None:
    assert unpack_item(pack_item(item)) == item


def test_booleans_and_numbers_are_not_confused() -> None:
    assert unpack_item(pack_item({"truth": True, "number": 1})) == {"truth": True, "number": 1}
    assert pack(True) == {"BOOL": True}
    assert pack(1) == {"N": "1"}


@pytest.mark.parametrize("value", [1.5, float("nan"), {"a": [1.5]}, {1}, object], ids=repr)
def test_a_value_that_cannot_be_stored_exactly_is_an_error(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be stored exactly"):
        pack(value)

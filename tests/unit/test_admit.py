"""What keeps its contract is appended to its stream, once."""

import json
from typing import Any

import pytest

from daybook.contracts.identity import admitted_id
from daybook.store.ledger import COMMITTED
from events.orders import OrderPlaced
from tests.unit import faults
from tests.unit.builders import CHECKOUT, NOON, Message, goods, order_data, recorded, sent
from tests.unit.contracts import ParcelSent
from tests.unit.world import Context, World, errors

ACCOUNT = "123456789012"


@pytest.fixture
def _parcels(world: World) -> None:
    """Admit knows one contract more: one from outside that continues a stream."""
    world.knows(ParcelSent)


def a_parcel(order_id: str = "1001", **other: Any) -> str:
    return sent({"order_id": order_id}, type="ParcelSent", source="carrier.tracking", **other)


def a_delivery(number: int, sku: str = "mug") -> str:
    data = {"sku": sku, "quantity": number, "delivery_id": f"D-{number}"}
    return sent(data, type="StockReceived", source="warehouse.receiving")


def test_an_event_from_outside_opens_its_stream(world: World) -> None:
    assert world.admit(sent(order_data("1001", [("mug", 2)]))) == []

    (order,) = world.events("order/1001")
    assert isinstance(order, OrderPlaced)
    assert order.quantities() == {"mug": 2}
    assert world.dead_letters() == []


def test_admit_fills_in_the_metadata_that_a_producer_need_not_send(world: World) -> None:
    world.admit(sent(id="envelope-1"))

    ((event,),) = [world.stream("order/1001")]
    m = event.metadata
    assert m.id == m.correlation_id == admitted_id(ACCOUNT, CHECKOUT, "envelope-1")
    assert (m.type, m.version, m.sequence, m.time) == ("OrderPlaced", 1, 1, NOON)
    assert (m.producer, m.causation_id, event.source) == (CHECKOUT, None, "daybook.orders")


def test_a_producers_own_metadata_are_kept(world: World) -> None:
    metadata = {"id": "p-1", "version": 1, "time": "2026-03-01T10:00:00+02:00", "correlation_id": "story"}
    world.admit(sent(metadata=metadata | {"causation_id": "cause"}))

    (event,) = world.stream("order/1001")
    m = event.metadata
    assert m.id == admitted_id(ACCOUNT, CHECKOUT, "p-1")
    assert (m.time, m.correlation_id, m.causation_id) == ("2026-03-01T08:00:00.000000Z", "story", "cause")


def test_metadata_that_only_this_system_gives_are_not_taken_from_a_producer(world: World) -> None:
    false = {"stream": "order/1", "sequence": 7, "recorded_at": NOON, "producer": "someone", "type": "OutOfStock"}
    world.admit(sent(metadata=false))

    (event,) = world.stream("order/1001")
    assert (event.metadata.sequence, event.metadata.producer, event.metadata.type) == (1, CHECKOUT, "OrderPlaced")
    assert event.metadata.recorded_at != NOON


def test_the_ledger_says_what_was_admitted_and_where_it_stands(world: World) -> None:
    world.admit(sent(metadata={"id": "p-1"}))

    (event,) = world.stream("order/1001")
    (entry,) = world.entries(event)
    assert (entry.consumer, entry.state, entry.stream, entry.sequence) == ("admit", COMMITTED, "order/1001", 1)
    assert entry.details
    assert entry.details["producer_id"] == "p-1"


@pytest.mark.parametrize("tries", [1, 2])
def test_a_producers_retry_is_known_by_its_own_id(world: World, tries: int) -> None:
    world.admit(sent(metadata={"id": "p-1"}, id="envelope-1"))

    assert world.admit(Message(sent(metadata={"id": "p-1"}, id="envelope-2"), tries=tries)) == []

    assert len(world.recorded()) == 1
    assert world.dead_letters() == []


def test_without_an_id_of_its_own_an_event_is_known_by_its_envelopes(world: World) -> None:
    for _ in range(2):
        world.admit(sent(id="envelope-1"))

    assert len(world.recorded()) == 1
    assert world.dead_letters() == []


def test_a_repetition_whose_data_are_written_in_another_order_is_the_same(world: World) -> None:
    data = order_data()
    world.admit(sent(data, metadata={"id": "p-1"}))
    world.admit(sent(dict(reversed(data.items())), metadata={"id": "p-1"}))

    assert world.dead_letters() == []


def test_one_event_twice_in_one_batch_is_admitted_once(world: World) -> None:
    same = sent(metadata={"id": "p-1"})

    assert world.admit(same, same) == []

    assert len(world.recorded()) == 1
    assert world.dead_letters() == []


def test_two_that_are_refused_in_one_batch_are_both_kept_though_they_have_one_id(world: World) -> None:
    parcel = {"order_id": "never-placed", "tracking_number": "T-1"}
    first, second = (
        sent(
            parcel | {"carrier": carrier}, type="ShipmentDispatched", source="warehouse.dispatch", metadata={"id": "p"}
        )
        for carrier in ("Post", "Courier")
    )

    world.admit(first, second)

    assert [(letter.body, letter.error) for letter in world.dead_letters()] == [
        (first, "StreamNotOpen"),
        (second, "StreamNotOpen"),
    ]


# Guards: the ledger's condition (a second opening would end at the append's, too).
def test_a_repetition_beside_a_new_event_of_its_stream_does_not_hold_it_up(world: World) -> None:
    world.admit(a_delivery(1))

    (first,) = world.stream("stock/mug")
    again = sent(json.loads(first.data), type="StockReceived", source="warehouse.receiving", metadata={"id": "p-1"})
    world.admit(again)
    world.admit(again, a_delivery(3))

    assert [event.metadata.sequence for event in world.stream("stock/mug")] == [1, 2, 3]


def test_the_same_id_from_another_account_or_source_is_another_event(world: World) -> None:
    world.admit(sent(order_data("1001"), metadata={"id": "p-1"}))
    world.admit(sent(order_data("1002"), metadata={"id": "p-1"}, account="999999999999"))

    assert [event.metadata.stream for event in world.recorded()] == ["order/1001", "order/1002"]
    assert world.dead_letters() == []


def test_several_events_of_one_stream_are_one_transaction_with_consecutive_sequences(world: World) -> None:
    calls = faults.calls()

    assert world.admit(*(a_delivery(number) for number in range(1, 6))) == []

    stream = world.stream("stock/mug")
    assert [json.loads(event.data)["quantity"] for event in stream] == [1, 2, 3, 4, 5]
    assert [event.metadata.sequence for event in stream] == [1, 2, 3, 4, 5]
    assert [event.previous for event in stream[1:]] == [event.hash for event in stream[:-1]]
    assert calls == ["Query", "TransactWriteItems"]


def test_a_whole_batch_for_one_stream_fits_into_one_transaction(world: World) -> None:
    # Ten messages are what one SQS batch holds without a window.
    assert world.admit(*(a_delivery(number) for number in range(1, 11))) == []

    assert len(world.stream("stock/mug")) == 10


def test_an_opening_costs_one_call_and_any_other_event_two(world: World) -> None:
    calls = faults.calls()
    world.admit(sent())
    assert calls == ["TransactWriteItems"]

    world.admit(a_delivery(1))
    assert calls == ["TransactWriteItems", "Query", "TransactWriteItems"]


@pytest.mark.usefixtures("_parcels")
def test_a_continuation_joins_the_story_of_its_stream(world: World) -> None:
    world.admit(sent())
    world.admit(a_parcel())

    opening, parcel = world.stream("order/1001")
    assert parcel.metadata.sequence == 2
    assert parcel.metadata.correlation_id == parcel.metadata.causation_id == opening.metadata.id


@pytest.mark.usefixtures("_parcels")
def test_a_continuation_that_overtook_its_opening_within_a_batch_comes_after_it(world: World) -> None:
    assert world.admit(a_parcel(), sent()) == []

    assert [event.metadata.type for event in world.stream("order/1001")] == ["OrderPlaced", "ParcelSent"]
    assert world.dead_letters() == []


@pytest.mark.usefixtures("_parcels")
def test_a_continuation_of_what_was_never_opened_is_refused(world: World) -> None:
    assert world.admit(a_parcel()) == []

    assert world.recorded() == []
    assert errors(world.dead_letters()) == ["StreamNotOpen"]


def test_a_second_opening_under_another_id_is_refused(world: World) -> None:
    world.admit(sent())
    assert world.admit(sent(order_data(lines=[("poster", 9)]))) == []

    assert len(world.recorded()) == 1
    assert errors(world.dead_letters()) == ["StreamAlreadyOpen"]


def test_of_two_openings_in_one_batch_the_first_is_admitted(world: World) -> None:
    first = sent(order_data(lines=[("mug", 1)]))
    second = sent(order_data(lines=[("mug", 2)]))

    assert world.admit(first, second) == []

    (order,) = world.events("order/1001")
    assert isinstance(order, OrderPlaced)
    assert order.quantities() == {"mug": 1}
    assert [letter.body for letter in world.dead_letters()] == [second]


@pytest.mark.usefixtures("_parcels")
def test_a_second_opening_does_not_hold_up_what_continues_the_first(world: World) -> None:
    world.admit(sent())
    assert world.admit(sent(), a_parcel()) == []

    assert [event.metadata.type for event in world.stream("order/1001")] == ["OrderPlaced", "ParcelSent"]
    assert errors(world.dead_letters()) == ["StreamAlreadyOpen"]


def test_an_event_is_recorded_no_earlier_than_its_predecessor_whose_clock_was_ahead(world: World) -> None:
    ahead = recorded(goods(), now="2999-01-01T00:00:00.000000Z")
    world.append(ahead)

    world.admit(a_delivery(1))

    assert world.stream("stock/mug")[1].metadata.recorded_at == ahead.metadata.recorded_at


# Guards: the append's condition.
def test_a_lost_race_for_a_place_in_the_stream_is_run_again(world: World) -> None:
    first = recorded(goods())
    faults.meanwhile(
        "TransactWriteItems", lambda: world.append(first), lambda: world.append(recorded(goods(), after=first))
    )

    assert world.admit(a_delivery(7)) == []

    stream = world.stream("stock/mug")
    assert [event.metadata.sequence for event in stream] == [1, 2, 3]
    assert stream[0] == first
    assert [event.previous for event in stream[1:]] == [event.hash for event in stream[:-1]]


def test_an_opening_that_loses_the_race_is_a_second_opening(world: World) -> None:
    faults.meanwhile("TransactWriteItems", lambda: world.append(recorded()))

    assert world.admit(sent(order_data(lines=[("poster", 9)]))) == []

    assert len(world.stream("order/1001")) == 1
    assert errors(world.dead_letters()) == ["StreamAlreadyOpen"]


def test_a_conflict_is_sent_again(world: World) -> None:
    faults.answer("TransactWriteItems", faults.CONFLICT, faults.THROTTLED)

    assert world.admit(sent()) == []

    assert len(world.stream("order/1001")) == 1


def test_an_event_whose_commit_was_never_answered_is_a_duplicate_the_next_time(world: World) -> None:
    message = Message(sent())
    faults.lose_the_answer("TransactWriteItems")

    assert world.admit(message) == [message]
    assert world.admit(message) == []

    assert len(world.stream("order/1001")) == 1
    assert world.dead_letters() == []


def test_a_stream_that_cannot_be_written_sends_back_its_own_messages_and_no_others(world: World) -> None:
    stuck = [Message(a_delivery(number, "mug")) for number in (1, 2)]
    faults.always_answer("TransactWriteItems", faults.THROTTLED, about="stock/mug")

    again = world.admit(stuck[0], a_delivery(1, "poster"), stuck[1], sent(), context=Context(seconds=0.9))

    assert again == stuck
    assert [event.metadata.stream for event in world.recorded()] == ["order/1001", "stock/poster"]
    assert world.dead_letters() == []


def test_a_repeated_opening_costs_one_look_at_the_ledger_and_none_at_the_stream(world: World) -> None:
    again = sent(metadata={"id": "checkout-1"})
    world.admit(again)
    calls = faults.calls()

    assert world.admit(again) == []

    assert calls == ["TransactWriteItems", "GetItem"]

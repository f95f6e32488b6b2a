"""What does not keep its contract goes to the dead letters with a reason, as it came, and holds nobody up."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.backbone.examination import CLOCK_SKEW, Rejection, examine
from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.envelope import MAX_EVENT_BYTES
from events.catalogue import CATALOGUE
from tests.unit import faults
from tests.unit.builders import Message, an_order, order_data, sent
from tests.unit.contracts import MeterRead
from tests.unit.world import Context, World, errors


def in_minutes(minutes: float) -> str:
    return clock.timestamp(datetime.now(UTC) + timedelta(minutes=minutes))


def an_order_with_a_note(note: str) -> dict[str, Any]:
    """A field that no contract knows, and that nobody minds."""
    return order_data(note=note)


def nested(depth: int) -> str:
    """An event with a field that no contract knows, of lists in lists."""
    return sent(order_data(note="HERE")).replace('"HERE"', "[" * depth + "]" * depth)


REFUSED = {
    "a field is missing": ("ContractBroken", sent({"order_id": "1001"})),
    "a field is of another type": ("ContractBroken", sent(order_data() | {"order_id": 1001})),
    "data are no object": ("ContractBroken", sent([1])),
    "data are null": ("ContractBroken", sent(detail={"data": None})),
    "larger than 64 KiB": ("EventTooLarge", sent(an_order_with_a_note("x" * MAX_EVENT_BYTES))),
    "larger than 64 KiB with its metadata": (
        "EventTooLarge",
        sent(an_order_with_a_note("x" * (MAX_EVENT_BYTES - 300))),
    ),
    "larger than 64 KiB in bytes": ("EventTooLarge", sent(an_order_with_a_note("🦉" * (MAX_EVENT_BYTES // 4)))),
    "in the future": ("BadTime", sent(metadata={"time": "2100-01-01T00:00:00Z"})),
    "in another unit": ("BadTime", sent(metadata={"time": "1970-01-21T12:00:00Z"})),
    "before the calendar": ("BadTime", sent(metadata={"time": "0001-01-01T00:00:00+14:00"})),
    "beyond the calendar": ("BadTime", sent(metadata={"time": "9999-12-31T23:59:59-14:00"})),
    "without a zone": ("BadTime", sent(metadata={"time": "2026-03-01T12:00:00"})),
    "at no time": ("BadTime", sent(metadata={"time": "noon"})),
    "an envelope at no time": ("BadTime", sent(time="noon")),
    "a time that is a number": ("BadMetadata", sent(metadata={"time": 1772366400})),
    "from a source that may not send it": ("SourceNotAllowed", sent(source="shop.marketing")),
    "from this system itself": ("SourceNotAllowed", sent(source="daybook.orders")),
    "an event that only functions emit": ("SourceNotAllowed", sent(type="OutOfStock", source="daybook.inventory")),
    "of an unknown type": ("UnknownType", sent(type="OrderPlacedd")),
    "of a type in other letters": ("UnknownType", sent(type="orderplaced")),
    "of no type": ("UnknownType", sent(type="")),
    "of a version to come": ("UnknownVersion", sent(metadata={"version": 2})),
    "of a version before the first": ("UnknownVersion", sent(metadata={"version": 0})),
    "a version that is a text": ("BadMetadata", sent(metadata={"version": "1"})),
    "a version that is a truth": ("BadMetadata", sent(metadata={"version": True})),
    "a version that is a fraction": ("BadMetadata", sent(metadata={"version": 1.0})),
    "metadata that are a list": ("BadMetadata", sent(metadata=[])),
    "metadata that are a text": ("BadMetadata", sent(metadata="x")),
    "metadata that are a number": ("BadMetadata", sent(metadata=0)),
    "an id that is a number": ("BadMetadata", sent(metadata={"id": 17})),
    "an empty id": ("BadMetadata", sent(metadata={"id": ""})),
    "an endless id": ("BadMetadata", sent(metadata={"id": "x" * 257})),
    "a correlation id that is a list": ("BadMetadata", sent(metadata={"correlation_id": ["x"]})),
    "an empty correlation id": ("BadMetadata", sent(metadata={"correlation_id": ""})),
    "an endless causation id": ("BadMetadata", sent(metadata={"causation_id": "x" * 257})),
    "no data": ("NoData", sent(detail={"metadata": {}})),
    "a detail that is a list": ("BadMetadata", sent(detail=[])),
    "a detail that is a text": ("BadMetadata", sent(detail="x")),
    "not JSON": ("NotJson", "an order, please"),
    "nothing": ("NotJson", " "),
    "half of JSON": ("NotJson", sent()[:-1]),
    "JSON with a byte order mark": ("NotJson", "\ufeff" + sent()),
    "JSON that is a list": ("NotAnEvent", "[]"),
    "an envelope's id with half a letter": ("NotAnEvent", sent(id="\ud800")),
    "an envelope's endless id": ("NotAnEvent", sent(id="x" * 500_000)),
    "JSON that is a number": ("NotAnEvent", "17"),
    "JSON that is null": ("NotAnEvent", "null"),
    "JSON that is no event": ("NotAnEvent", "{}"),
    "an event without a source": ("NotAnEvent", json.dumps({**json.loads(sent()), "source": None})),
    "an event whose account is a number": ("NotAnEvent", sent(account=123456789012)),
    "not a number": ("NotJson", sent(order_data(note=float("nan")))),
    "an infinity": ("NotJson", sent(order_data(note=float("inf")))),
    "a number without end": ("NotJson", sent(order_data(note="HERE")).replace('"HERE"', "1e999")),
    "a number of many digits": ("NotJson", sent(order_data(note="HERE")).replace('"HERE"', "9" * 5000)),
    "half a letter": ("NotJson", sent(an_order_with_a_note("\ud800"))),
    "half a letter in a name": ("NotJson", sent(order_data() | {"\ud800": 1})),
    "half a letter in a known field": ("NotJson", sent(order_data(payment_method="\udfff"))),
    "nested without end": ("NotJson", "[" * 100_000),
    "data nested without end": ("NotJson", nested(100_000)),
}


@pytest.mark.parametrize(("error", "body"), REFUSED.values(), ids=REFUSED)
def test_an_event_is_refused_that_is(world: World, error: str, body: str) -> None:
    good = sent(order_data("1002"))

    assert world.admit(body, good) == []

    assert [event.metadata.stream for event in world.recorded()] == ["order/1002"]
    (letter,) = world.dead_letters()
    assert letter.body == body
    assert letter.error == error
    assert letter.attributes["consumer"] == "admit"
    assert letter.attributes["reason"]


@pytest.mark.parametrize("name", ["id", "time", "correlation_id", "causation_id"])
def test_half_a_letter_in_the_metadata_is_refused_and_holds_up_no_event_of_its_stream(world: World, name: str) -> None:
    data = {"sku": "mug", "quantity": 1, "delivery_id": "D-1"}
    bad = sent(data, type="StockReceived", source="warehouse.receiving", metadata={name: "\ud800"})
    good = sent(data, type="StockReceived", source="warehouse.receiving")

    assert world.admit(bad, good) == []

    assert len(world.stream("stock/mug")) == 1
    assert [letter.body for letter in world.dead_letters()] == [bad]


@pytest.mark.parametrize("depths", [range(1, 400, 7), range(400, 900, 7), range(900, 1010)], ids=str)
def test_however_deep_an_event_is_nested_it_is_examined_or_refused(depths: range) -> None:
    # Anything but a Rejection would fail the whole batch, time after time.
    for depth in depths:
        try:
            examine(nested(depth), CATALOGUE)
        except Rejection as refusal:
            assert refusal.code in {"NotJson", "ContractBroken"}  # noqa: PT017 - either is right, or none


def test_a_contracts_own_limits_are_told_as_the_reason(world: World) -> None:
    world.admit(sent(order_data(lines=[("mug", 0)])))

    (letter,) = world.dead_letters()
    assert "OrderPlaced: lines.0.quantity: Input should be greater than or equal to 1" in letter.attributes["reason"]
    assert letter.attributes["event_type"] == "OrderPlaced"
    assert letter.attributes["event_id"]


def test_a_producers_clock_may_be_a_little_ahead(world: World) -> None:
    skew = CLOCK_SKEW.seconds / 60
    a_little, more = (sent(metadata={"time": in_minutes(ahead)}) for ahead in (skew - 1, skew + 1))

    world.admit(a_little, more)

    assert len(world.recorded()) == 1
    assert [letter.body for letter in world.dead_letters()] == [more]


@pytest.mark.parametrize("contract", CATALOGUE.values(), ids=CATALOGUE)
def test_no_event_comes_from_outside_under_this_systems_own_name(world: World, contract: type[Event]) -> None:
    name = contract.contract
    world.admit(sent(dict(contract.example), type=name.type, source=name.published_source))

    assert world.recorded() == []
    assert errors(world.dead_letters()) == ["SourceNotAllowed"]


# Guards: the hash of the content in the ledger.
def test_the_same_id_with_other_content_is_refused(world: World) -> None:
    world.admit(sent(order_data(lines=[("mug", 1)]), metadata={"id": "p-1"}))
    other = sent(order_data(lines=[("mug", 2)]), metadata={"id": "p-1"})

    assert world.admit(other) == []

    assert world.events("order/1001") == [an_order(lines=[("mug", 1)])]
    assert [(letter.error, letter.body) for letter in world.dead_letters()] == [("IdReused", other)]


def test_the_same_id_for_another_stream_is_refused(world: World) -> None:
    world.admit(sent(order_data("1001"), metadata={"id": "p-1"}), sent(order_data("1002"), metadata={"id": "p-1"}))

    assert [event.metadata.stream for event in world.recorded()] == ["order/1001"]
    assert errors(world.dead_letters()) == ["IdReused"]


def test_the_same_id_with_other_content_in_one_batch_is_refused(world: World) -> None:
    other = sent(order_data(lines=[("mug", 2)]), metadata={"id": "p-1"})

    assert world.admit(sent(metadata={"id": "p-1"}), other) == []

    assert world.events("order/1001") == [an_order()]
    assert [(letter.error, letter.body) for letter in world.dead_letters()] == [("IdReused", other)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["as before", "turned round"])
def test_an_event_is_either_admitted_or_refused_though_the_batch_had_to_come_twice(
    world: World, order: tuple[int, int]
) -> None:
    batch = [Message(sent(order_data(lines=[("mug", n)]), metadata={"id": "p-1"})) for n in (1, 2)]
    faults.answer("TransactWriteItems", faults.CONFLICT)

    again = world.admit(*batch, context=Context(seconds=0.9))
    world.admit(*(batch[place] for place in order if batch[place] in again))

    (event,) = world.stream("order/1001")
    data = json.loads(event.data)
    admitted = [message.body for message in batch if json.loads(message.body)["detail"]["data"] == data]
    assert sorted([letter.body for letter in world.dead_letters()] + admitted) == sorted(m.body for m in batch)


def test_a_dead_letter_queue_that_does_not_answer_sends_back_only_what_was_for_it(world: World) -> None:
    bad, good = Message("not JSON"), Message(sent())
    faults.always_answer("SendMessage", faults.DENIED)

    assert world.admit(bad, good) == [bad]

    assert len(world.recorded()) == 1


@pytest.mark.parametrize(
    ("at", "error"),
    [
        ("2100-01-01T00:00:00Z", "the time is more than 5 minutes in the future; check the producer's clock"),
        ("1970-01-01T00:00:07Z", "the time is before 2000; check its unit"),
    ],
    ids=["in the future", "of a clock that was never set"],
)
def test_an_event_that_says_itself_when_it_happened_is_held_to_that(world: World, at: str, error: str) -> None:
    world.knows(MeterRead)

    world.admit(a_reading(at, metadata={"time": in_minutes(0)}))

    assert world.recorded() == []
    assert [letter.attributes["reason"] for letter in world.dead_letters()] == [error]


def test_the_time_that_an_event_says_itself_is_the_one_that_is_stored(world: World) -> None:
    world.knows(MeterRead)

    world.admit(a_reading("2026-03-01T12:00:00+02:00", metadata={"time": in_minutes(0)}))

    assert [event.metadata.time for event in world.recorded()] == ["2026-03-01T10:00:00.000000Z"]


def a_reading(at: str, **other: Any) -> str:
    return sent({"meter_id": "m1", "at": at}, type="MeterRead", source="meters", **other)


def test_a_time_in_the_data_that_cannot_be_placed_holds_up_no_other_event(world: World) -> None:
    world.knows(MeterRead)
    data = {"meter_id": "m1", "at": "0001-01-01T00:00:00+14:00"}

    assert world.admit(sent(data, type="MeterRead", source="meters"), sent()) == []

    assert [event.metadata.stream for event in world.recorded()] == ["order/1001"]
    assert errors(world.dead_letters()) == ["ContractBroken"]

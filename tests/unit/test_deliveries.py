"""What a consumer does with a delivery: once is done, twice is harmless, what fails comes again, alone."""

import json
from typing import Any

import pytest

from daybook.consumers.reaction import reaction
from daybook.consumers.view import SetIfNewer, view
from daybook.consumers.work import Work
from daybook.contracts.contract import Event
from daybook.store.ledger import COMMITTED, TRYING
from events.inventory import StockReserved
from events.orders import OrderPlaced
from functions.inventory import receive_stock, reserve_stock
from functions.inventory.stock import StockItem
from functions.orders import place_order
from functions.orders.order import Order
from functions.orders.order_status import order_status_placed
from tests.unit import faults
from tests.unit.builders import NOON, Message, a_reservation, a_shortage, an_order, from_the_bus, goods, recorded
from tests.unit.contracts import Tally
from tests.unit.world import Context, Handler, World

MARK = "Zzyzx0815"

CONSUMERS = {
    "a reaction that decides": (reserve_stock.handler, an_order(lines=[("mug", 1), ("poster", 2)])),
    "a reaction that changes": (receive_stock.handler, goods()),
    "a reaction that saves": (place_order.handler, an_order()),
    "a view": (order_status_placed, an_order()),
}
every_kind = pytest.mark.parametrize(("handler", "event"), CONSUMERS.values(), ids=CONSUMERS)


def state(world: World) -> list[Any]:
    """All that consumers have written, anywhere."""
    tables = ("store", "ledger", "stock", "reservations", "orders", "order-status")
    return [world.items(table) for table in tables]


@every_kind
def test_an_event_is_one_transaction_and_at_most_one_read(world: World, handler: Handler, event: Event) -> None:
    calls = faults.calls()

    world.receive(handler, event)

    assert calls.count("TransactWriteItems") == 1
    assert [call for call in calls if call != "TransactWriteItems"] in ([], ["BatchGetItem"])


def test_only_an_event_on_a_stream_that_goes_on_asks_for_its_head(world: World) -> None:
    @reaction(OrderPlaced, emits=(type(goods()),))
    def handler(order: OrderPlaced, work: Work) -> None:
        work.read_all(StockItem, order.quantities())
        work.emit(goods())

    calls = faults.calls()
    world.receive(handler, an_order())

    assert calls == ["BatchGetItem", "Query", "TransactWriteItems"]


# Guards: the ledger's condition.
@every_kind
def test_a_second_delivery_changes_nothing(world: World, handler: Handler, event: Event) -> None:
    body = from_the_bus(recorded(event))
    world.deliver(handler, body)
    before = state(world)

    assert world.deliver(handler, body) == []

    assert state(world) == before


@every_kind
def test_a_delivery_that_comes_again_is_looked_up_and_not_run(world: World, handler: Handler, event: Event) -> None:
    body = from_the_bus(recorded(event))
    world.deliver(handler, body)
    before = state(world)
    calls = faults.calls()

    assert world.deliver(handler, Message(body, tries=2)) == []

    assert calls == ["GetItem"]
    assert state(world) == before


def test_a_delivery_that_comes_again_but_was_never_done_is_done(world: World) -> None:
    assert world.deliver(receive_stock.handler, Message(from_the_bus(recorded(goods())), tries=7)) == []

    assert world.row(StockItem, "mug") == StockItem(sku="mug", available=10)


@every_kind
def test_a_commit_whose_answer_was_lost_is_not_done_twice(world: World, handler: Handler, event: Event) -> None:
    message = Message(from_the_bus(recorded(event)))
    faults.lose_the_answer("TransactWriteItems")
    assert world.deliver(handler, message) == []
    before = state(world)

    assert world.deliver(handler, Message(message.body, tries=2)) == []

    assert state(world) == before


@every_kind
def test_the_ledger_names_what_was_done(world: World, handler: Handler, event: Event) -> None:
    (envelope,) = world.receive(handler, event)

    (entry,) = world.entries(envelope)
    assert (entry.state, entry.stream, entry.sequence) == (COMMITTED, event.stream, 1)
    emitted = [kept.metadata.id for kept in world.recorded()]
    assert list(entry.emitted) == emitted


def test_two_consumers_of_one_event_each_do_their_part(world: World) -> None:
    envelope = recorded()
    for handler in (place_order.handler, order_status_placed):
        world.deliver(handler, from_the_bus(envelope))

    assert [entry.consumer for entry in world.entries(envelope)] == ["order-status-placed", "place-order"]


# Guards: the answer that names single messages (ReportBatchItemFailures).
def test_one_bad_delivery_of_ten_comes_again_alone(world: World) -> None:
    batch = [Message(from_the_bus(recorded(goods(f"sku-{number}")))) for number in range(10)]
    faults.always_answer("TransactWriteItems", faults.DENIED, about='"sku-4"')

    assert world.deliver(receive_stock.handler, *batch) == [batch[4]]

    assert len(world.items("stock")) == 9
    assert world.dead_letters() == []


def placed(**metadata: Any) -> str:
    return from_the_bus(recorded(now=NOON), **metadata)


UNREADABLE = {
    "not JSON": "an order, please",
    "a list": "[]",
    "null": "null",
    "no detail": "{}",
    "a detail that is a list": '{"detail": []}',
    "a detail without data": '{"detail": {"metadata": {}}}',
    "nested without end": '{"detail": ' + "[" * 100_000,
    "another type of event": from_the_bus(recorded(a_shortage(), now=NOON)),
    "data that break the contract": from_the_bus(recorded(data='{"order_id": "1001"}', now=NOON)),
    "data that are no object": from_the_bus(recorded(data="[]", now=NOON)),
    "data with half a letter": placed().replace("Ada Lovelace", "\\ud800"),
    "an id with half a letter": placed(id="\ud800"),
    "a version that is a text": placed(version="1"),
    "a sequence that is a text": placed(sequence="1"),
    "no id": placed(id=None),
    "an empty id": placed(id=""),
    "an endless id": placed(id="x" * 3_000),
    "an id that is another row's key": placed(id="switch"),
    "an id that is the key of a cursor": placed(id="cursor#order/1001"),
    "no stream": placed(stream=""),
    "an endless stream": placed(stream="x" * 3_000),
    "a version before the first": placed(version=0),
    "a sequence before the first": placed(sequence=0),
    "a sequence that no table takes": placed(sequence=10**40),
    "recorded at no time": placed(recorded_at="noon"),
}


@pytest.mark.parametrize("handler", [place_order.handler, order_status_placed], ids=["reaction", "view"])
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_goes_to_the_dead_letters_at_once(world: World, handler: Handler, body: str) -> None:
    assert world.deliver(handler, body, from_the_bus(recorded(an_order("1002")))) == []

    (letter,) = world.dead_letters()
    assert letter.body == body
    assert letter.attributes["consumer"] in {"place-order", "order-status-placed"}
    assert letter.attributes["reason"]
    assert len(world.items("ledger")) == 1


def test_neither_reason_nor_log_quotes_what_could_not_be_read(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.dumps({"order_id": "1001", "customer": {"name": [MARK], "email": MARK}, "lines": MARK})
    world.deliver(place_order.handler, MARK, from_the_bus(recorded(data=data)))

    letters = world.dead_letters()
    assert len(letters) == 2
    assert not [value for letter in letters for value in letter.attributes.values() if MARK in value]
    assert MARK not in capsys.readouterr().out


def test_an_event_of_a_version_to_come_waits_for_the_code_that_knows_it(world: World) -> None:
    message = Message(from_the_bus(recorded(), version=2))

    assert world.deliver(place_order.handler, message, from_the_bus(recorded(an_order("1002")))) == [message]

    assert world.dead_letters() == []
    assert world.row(Order, "1002")


def test_a_dead_letter_queue_that_does_not_answer_sends_back_only_what_was_for_it(world: World) -> None:
    bad, good = Message("not JSON"), Message(from_the_bus(recorded()))
    faults.always_answer("SendMessage", faults.DENIED)

    assert world.deliver(place_order.handler, bad, good) == [bad]

    assert world.row(Order, "1001")


def test_a_body_that_fails_sends_its_message_back_and_writes_nothing(world: World) -> None:
    @reaction(OrderPlaced, emits=(StockReserved,))
    def handler(order: OrderPlaced, work: Work) -> None:
        work.save(Order.placed(order))
        work.emit(a_reservation())
        raise LookupError

    envelope = recorded()
    message = Message(from_the_bus(envelope))
    assert world.deliver(handler, message) == [message]

    (noted,) = world.entries(envelope)
    assert (noted.state, [told["error"] for told in noted.tries]) == (TRYING, ["LookupError"])
    assert world.recorded() == []
    assert world.items("orders") == []


def test_a_conflict_is_sent_again_and_is_no_failure(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    faults.answer("TransactWriteItems", faults.CONFLICT, faults.THROTTLED, faults.CONFLICT)
    calls = faults.calls()

    world.receive(receive_stock.handler, goods())

    assert calls == ["TransactWriteItems"] * 4
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metrics["Conflicts"] == [3]
    assert "Failed" not in metrics


def test_a_conflict_that_never_ends_hands_the_message_back_in_time(world: World) -> None:
    message = Message(from_the_bus(recorded(goods())))
    faults.always_answer("TransactWriteItems", faults.CONFLICT)

    assert world.deliver(receive_stock.handler, message, context=Context(seconds=4, less=0.3)) == [message]

    assert world.items("stock") == []


def test_a_transaction_that_fails_for_another_reason_is_not_sent_again(world: World) -> None:
    message = Message(from_the_bus(recorded(goods())))
    faults.answer("TransactWriteItems", faults.cancelled("None", "ValidationError"))
    calls = faults.calls()

    assert world.deliver(receive_stock.handler, message) == [message]

    assert calls.count("TransactWriteItems") == 1


def test_the_log_of_a_failure_shows_nothing_about_a_person(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    @view(OrderPlaced)
    def handler(order: OrderPlaced) -> SetIfNewer:
        # A slip that is easily made: the model refuses what it is given, and says what that was.
        Tally.model_validate({"name": [order.customer.name]})
        return SetIfNewer(Tally, "x", order=1, fields={})

    customer = {"name": MARK, "email": "ada@example.com"}
    message = Message(from_the_bus(recorded(an_order(customer=customer))))
    assert world.deliver(handler, message) == [message]

    output = capsys.readouterr()
    assert "failed" in output.out
    assert MARK not in output.out + output.err


def test_each_delivery_counts_as_one_thing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    good = from_the_bus(recorded())
    world.deliver(place_order.handler, good, good, "not JSON", from_the_bus(recorded(), version=2))

    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    counted = {name: metrics[name] for name in ("Committed", "Duplicates", "NewerVersion", "Waiting")}
    assert counted == {"Committed": [1], "Duplicates": [1], "NewerVersion": [1], "Waiting": [1]}
    assert (metrics["stage"], metrics["service"]) == ("test", "place-order")

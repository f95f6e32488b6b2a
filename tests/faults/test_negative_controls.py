"""Each promise holds, and is broken as soon as its one guard is taken away: so it is the guard that keeps it.

More of them stand in test_faults.py: the ledger's condition, the guard of a change, the second opening of a stream.
"""

from contextlib import AbstractContextManager, nullcontext

from daybook.consumers.consumer import Reaction, reaction
from daybook.consumers.failure import Rejected
from daybook.consumers.work import Work
from daybook.contracts.envelope import Envelope
from daybook.local.faults import ALWAYS, Fault, Faults, Guard
from daybook.local.mailbox import mailbox
from daybook.store.event_store import to_item
from daybook.store.ledger import COMMITTED
from daybook.store.state import State
from events.inventory import StockReceived
from events.orders import OrderPlaced
from tests.deployed.deployed import Deployed, an_order, impatient, unique
from tests.deployed.in_process import handle, meanwhile, process_of, race, without_conditions
from tests.faults.breaking import both_ways, eventually, expected_to_hold, unless
from tests.unit import builders
from tests.unit.world import Context


class Count(State, table="orders", key="name"):
    """A row that is saved after it was read."""

    name: str
    total: int = 0


@reaction(OrderPlaced)
def counting(order: OrderPlaced, work: Work) -> None:
    """Count an order under the article that it wants."""
    count = work.read(Count, order.lines[0].sku)
    work.save(count.model_copy(update={"total": count.total + 1}))


@reaction(OrderPlaced, emits=(StockReceived,))
def noting(order: OrderPlaced, work: Work) -> None:
    """Append an event to a stream that many append to."""
    line = order.lines[0]
    work.emit(StockReceived(sku=line.sku, quantity=line.quantity, delivery_id=order.order_id))


class Course(State, table="stock", key="name"):
    """How a stream was followed: the sequences of its events, as they were handled."""

    name: str
    sequences: list[int] = []


def follow(goods: StockReceived, work: Work) -> None:
    """Write down the place of what is handled."""
    course = work.read(Course, f"course of {goods.sku}")
    work.save(Course(name=course.name, sequences=[*course.sequences, work.cause.sequence]))


def refuse(_: StockReceived, __: Work) -> None:
    """Find that nothing can be made of it."""
    raise Rejected("no such article")


@both_ways
def test_only_the_version_of_a_saved_row_keeps_one_from_overwriting_what_another_saved(
    system: Deployed, guarded: bool
) -> None:
    sku = unique("mug")

    with (
        process_of(system, "place-order"),
        race(2),
        held(guarded, without_conditions(system.table("orders", "place-order"))),
    ):
        handle(counting, two_orders(sku))

    with expected_to_hold(guarded):
        assert system.row("orders", sku, of="place-order")["total"] == 2


@both_ways
def test_only_the_condition_of_an_append_keeps_a_stream_whole_when_two_append_at_once(
    system: Deployed, guarded: bool
) -> None:
    sku = unique("mug")
    orders = two_orders(sku)

    with process_of(system, "reserve-stock"), race(2), held(guarded, without_conditions(system.connection.names.store)):
        handle(noting, orders)

    with expected_to_hold(guarded):
        stream = [envelope.metadata for envelope in system.connection.store.stream(f"stock/{sku}")]
        assert [metadata.sequence for metadata in stream] == [1, 2]
        assert {metadata.causation_id for metadata in stream} == {order.metadata.id for order in orders}


@both_ways
def test_only_the_way_over_the_stream_keeps_its_order_when_messages_come_in_reverse(
    system: Deployed, guarded: bool
) -> None:
    sku = unique("mug")
    arrivals = three_arrivals(system, sku)

    with process_of(system, "receive-stock"):
        for arrival in reversed(arrivals):
            deliver(reaction(StockReceived, ordered=guarded)(follow), arrival)

    with expected_to_hold(guarded):
        assert system.row("stock", f"course of {sku}", of="receive-stock")["sequences"] == [1, 2, 3]


@both_ways
def test_only_the_cursors_condition_keeps_a_stream_where_another_run_has_parked_it(
    system: Deployed, guarded: bool
) -> None:
    sku = unique("mug")
    first, _, third = three_arrivals(system, sku)
    following, refusing = (reaction(StockReceived, ordered=True)(body) for body in (follow, refuse))

    with process_of(system, "receive-stock"):
        without = held(guarded, without_conditions(system.connection.names.ledger, rows="cursor#"))
        with without, meanwhile(lambda: deliver(refusing, first)):
            deliver(following, third)

    with expected_to_hold(guarded):
        assert system.row("stock", f"course of {sku}", of="receive-stock") == {}


@both_ways
def test_only_the_partial_answer_keeps_a_message_that_failed(system: Deployed, faults: Faults, guarded: bool) -> None:
    order = unique("order")
    failing = Fault.denied(function="place-order", operation="TransactWriteItems", mentions=order)

    with faults.inject(failing, *unless(guarded, Fault.without_guard(Guard.PARTIAL_ANSWER, function="place-order"))):
        (placed,) = system.sends(an_order(order))
        eventually(lambda: faults.injected_count(failing), "place-order has failed")
        eventually(lambda: in_queue(system, "place-order"), "its message is done with, or lost", expected=0)

    with expected_to_hold(guarded):
        entry = system.connection.ledger.find(placed, "place-order")
        assert entry
        assert entry.done, entry


@both_ways
def test_only_the_way_over_the_store_keeps_what_was_handled_in_the_store(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    order = unique("order")
    unstored = Fault.denied(function="admit", operation="TransactWriteItems", mentions=order, times=ALWAYS)

    with faults.inject(unstored, *unless(guarded, Fault.without_guard(Guard.STORE_FIRST, function="admit"))):
        (sent,) = system.sends(an_order(order))
        eventually(lambda: faults.injected_count(unstored), "admit was not let into the store")
        if not guarded:
            eventually(lambda: handled(system, sent), "somebody has handled it")

        assert not list(system.connection.store.stream(f"order/{order}"))
        with expected_to_hold(guarded):
            assert handled(system, sent) == []


@both_ways
def test_only_the_record_of_an_attempt_keeps_an_e_mail_from_being_sent_again(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    order = unique("order")
    death = Fault.death("after", function="mail-cancelled", operation="SendEmail", mentions=order)
    without = unless(guarded, Fault.without_guard(Guard.EFFECT_RECORD, function="mail-cancelled"))

    with impatient(system, "mail-cancelled"), faults.inject(death, *without):
        system.sends(an_order(order, lines=[(unique("never-there"), 1)]))
        eventually(lambda: faults.injected_count(death), "the e-mail is out, and its process is dead")
        eventually(lambda: system.says("mail-cancelled", cancellation(system, order)), "it was delivered again")

    with expected_to_hold(guarded):
        assert len([mail for mail in mailbox(system.cloud) if order in mail.subject]) == 1


def held(guarded: bool, without: AbstractContextManager[None]) -> AbstractContextManager[None]:
    return nullcontext() if guarded else without


def two_orders(sku: str) -> list[Envelope]:
    return [builders.recorded(builders.an_order(unique("order"), [(sku, 1)])) for _ in range(2)]


def three_arrivals(system: Deployed, sku: str) -> list[Envelope]:
    """Goods that have arrived three times: a stream of three events, in the store."""
    arrivals = [builders.recorded(builders.goods(sku))]
    while len(arrivals) < 3:
        arrivals.append(builders.recorded(builders.goods(sku), after=arrivals[-1]))
    for arrival in arrivals:
        system.cloud.client("dynamodb").put_item(TableName=system.connection.names.store, Item=to_item(arrival))
    return arrivals


def deliver(handler: Reaction[StockReceived], *events: Envelope) -> None:
    """Hand the handler a batch, as Lambda does. Nothing of it may come again."""
    batch = {"Records": [builders.Message(builders.from_the_bus(event)).record() for event in events]}
    assert handler(batch, Context()) == {"batchItemFailures": []}


def handled(system: Deployed, event: str) -> list[str]:
    """The consumers that have committed the event."""
    return [entry.consumer for entry in system.connection.ledger.of_event(event) if entry.state == COMMITTED]


def cancellation(system: Deployed, order: str) -> str:
    """The id of the event that says that the order is cancelled."""
    stream = system.connection.store.stream(f"order/{order}")
    return next(event.metadata.id for event in stream if event.metadata.type == "OrderCancelled")


def in_queue(system: Deployed, consumer: str) -> int:
    """How many messages wait, are being handled, or will come again."""
    sqs = system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    return sum(map(int, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=_WAITING)["Attributes"].values()))


_WAITING = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]

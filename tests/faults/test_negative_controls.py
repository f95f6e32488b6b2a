"""Each guarantee holds, and is violated when its guard is removed. So the guard keeps it.

test_faults.py has more: the ledger's condition, the condition of a change, the second opening of a stream.
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from daybook.consumers.failure import NonRetryable
from daybook.consumers.reaction import Reaction, reaction
from daybook.consumers.work import Work
from daybook.contracts.envelope import Envelope
from daybook.local.faults import Fault, Faults, Guard
from daybook.local.mailbox import mailbox
from daybook.operate.registered import KnownConsumers
from daybook.store.event_store import to_item
from daybook.store.ledger import COMMITTED
from daybook.store.state import State
from events.inventory import StockReceived
from events.orders import OrderPlaced
from tests.deployed.deployed import Deployed, an_order, short_visibility_timeout
from tests.deployed.in_process import before_first_write, handle, process_of, race, without_conditions
from tests.faults.guards import eventually, expected_to_hold, removed_unless, with_and_without_guard
from tests.local.processes import unique
from tests.unit import builders
from tests.unit.world import Context

Body = Callable[[StockReceived, Work], None]


class Count(State, table="orders", key="name"):
    """A row that is saved after it was read."""

    name: str
    total: int = 0


@reaction(OrderPlaced)
def count_orders(order: OrderPlaced, work: Work) -> None:
    """Count an order for its article."""
    count = work.read(Count, next(iter(order.quantities())))
    work.save(count.evolve(total=count.total + 1))


@reaction(OrderPlaced, emits=(StockReceived,))
def append_event(order: OrderPlaced, work: Work) -> None:
    """Append an event to a stream to which others append at the same time."""
    sku, quantity = next(iter(order.quantities().items()))
    work.emit(StockReceived(sku=sku, quantity=quantity, delivery_id=order.order_id))


class Sequences(State, table="stock", key="name"):
    """The sequence numbers of a stream's events in the order in which they were processed."""

    name: str
    sequences: list[int] = []


def record_sequence(goods: StockReceived, work: Work) -> None:
    """Record the sequence number of the processed event."""
    row = work.read(Sequences, f"sequences of {goods.sku}")
    work.save(Sequences(name=row.name, sequences=[*row.sequences, work.cause.sequence]))


def reject(_: StockReceived, __: Work) -> None:
    """Reject every event."""
    raise NonRetryable("no such article")


@with_and_without_guard
def test_only_the_version_of_a_saved_row_prevents_a_lost_update(system: Deployed, guarded: bool) -> None:
    sku = unique("mug")

    with (
        process_of(system, "place-order"),
        race(2),
        guard_or(guarded, without_conditions(system.table("orders", "place-order"))),
    ):
        handle(count_orders, two_orders(sku))

    with expected_to_hold(guarded):
        assert system.row("orders", sku, of="place-order")["total"] == 2


@with_and_without_guard
def test_only_the_condition_of_an_append_keeps_a_stream_complete_under_concurrent_appends(
    system: Deployed, guarded: bool
) -> None:
    sku = unique("mug")
    orders = two_orders(sku)

    with (
        process_of(system, "reserve-stock"),
        race(2),
        guard_or(guarded, without_conditions(system.connection.names.store)),
    ):
        handle(append_event, orders)

    with expected_to_hold(guarded):
        stream = [envelope.metadata for envelope in system.connection.store.stream(f"stock/{sku}")]
        assert [metadata.sequence for metadata in stream] == [1, 2]
        assert {metadata.causation_id for metadata in stream} == {order.metadata.id for order in orders}


@with_and_without_guard
def test_only_reading_the_stream_keeps_its_order_when_messages_arrive_in_reverse(
    system: Deployed, guarded: bool
) -> None:
    sku = unique("mug")
    arrivals = three_arrivals(system, sku)

    with process_of(system, "receive-stock"):
        for arrival in reversed(arrivals):
            deliver(reaction(StockReceived, ordered=guarded)(record_sequence), arrival)

    with expected_to_hold(guarded):
        assert system.row("stock", f"sequences of {sku}", of="receive-stock")["sequences"] == [1, 2, 3]


@with_and_without_guard
def test_only_the_cursors_condition_keeps_a_stream_blocked_that_another_process_has_blocked(
    system: Deployed, guarded: bool
) -> None:
    sku = unique("mug")
    first, _, third = three_arrivals(system, sku)
    following, refusing = ordered_consumer(record_sequence), ordered_consumer(reject)

    with process_of(system, "receive-stock"):
        without = guard_or(
            guarded, without_conditions(system.connection.names.ledger, rows=f"{ordered_consumer(reject).name}#cursor#")
        )
        with without, before_first_write(lambda: deliver(refusing, first)):
            deliver(following, third)

    with expected_to_hold(guarded):
        assert system.row("stock", f"sequences of {sku}", of="receive-stock") == {}


@with_and_without_guard
def test_only_the_partial_batch_response_keeps_a_failed_message(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    order = unique("order")
    failing = Fault.denied(function="place-order", operation="TransactWriteItems", mentions=order)

    with faults.inject(
        failing, *removed_unless(guarded, Fault.without_guard(Guard.PARTIAL_ANSWER, function="place-order"))
    ):
        (placed,) = system.sends(an_order(order))
        eventually(lambda: faults.injected_count(failing), "place-order has failed")
        eventually(lambda: in_queue(system, "place-order"), "its message is deleted", expected=0)

    with expected_to_hold(guarded):
        entry = system.connection.ledger.find(placed, "place-order")
        assert entry
        assert entry.done, entry


@with_and_without_guard
def test_only_the_check_that_an_event_is_recorded_stops_a_forged_message(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    forged = builders.recorded(builders.an_order(unique("order")))
    message = {"detail": json.loads(forged.shared_detail)}
    sqs = system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=system.connection.names.of("place-order"))["QueueUrl"]

    with faults.inject(*removed_unless(guarded, Fault.without_guard(Guard.RECORDED, function="place-order"))):
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(message))
        eventually(lambda: in_queue(system, "place-order"), "its message is deleted", expected=0)

        with expected_to_hold(guarded):
            assert handled(system, forged.metadata.id) == []


@with_and_without_guard
def test_only_the_effect_record_prevents_an_e_mail_from_being_sent_again(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    order = unique("order")
    death = Fault.death("after", function="mail-cancelled", operation="SendEmail", mentions=order)
    without = removed_unless(guarded, Fault.without_guard(Guard.EFFECT_RECORD, function="mail-cancelled"))

    with short_visibility_timeout(system, "mail-cancelled"), faults.inject(death, *without):
        system.sends(an_order(order, lines=[(unique("never-there"), 1)]))
        eventually(lambda: faults.injected_count(death), "the e-mail was sent and its process was killed")
        eventually(lambda: system.log_messages("mail-cancelled", cancellation(system, order)), "it was delivered again")

    with expected_to_hold(guarded):
        assert len([mail for mail in mailbox(system.cloud) if order in mail.subject]) == 1


def guard_or(guarded: bool, without: AbstractContextManager[None]) -> AbstractContextManager[None]:
    return nullcontext() if guarded else without


def two_orders(sku: str) -> list[Envelope]:
    return [builders.recorded(builders.an_order(unique("order"), [(sku, 1)])) for _ in range(2)]


def three_arrivals(system: Deployed, sku: str) -> list[Envelope]:
    """Stock that was received three times: a stream of three events in the store."""
    arrivals = [builders.recorded(builders.goods(sku))]
    while len(arrivals) < 3:
        arrivals.append(builders.recorded(builders.goods(sku), after=arrivals[-1]))
    for arrival in arrivals:
        system.cloud.client("dynamodb").put_item(TableName=system.connection.names.store, Item=to_item(arrival))
    return arrivals


def ordered_consumer(body: Callable[[StockReceived, Work], None]) -> Reaction[StockReceived]:
    """An ordered consumer of one name, whatever its body: processes of it share its cursors."""

    @reaction(StockReceived, ordered=True)
    def handler(goods: StockReceived, work: Work) -> None:
        body(goods, work)

    return handler


def deliver(handler: Reaction[StockReceived], *events: Envelope) -> None:
    """Call the handler with a batch, as Lambda does. No message of it may fail."""
    batch = {"Records": [builders.Message(builders.from_the_bus(event)).record() for event in events]}
    assert handler(batch, Context()) == {"batchItemFailures": []}


def handled(system: Deployed, event: str) -> list[str]:
    """The consumers that have committed the event."""
    return [entry.consumer for entry in KnownConsumers.of(system.connection).rows(event) if entry.state == COMMITTED]


def cancellation(system: Deployed, order: str) -> str:
    """The id of the order's OrderCancelled."""
    stream = system.connection.store.stream(f"order/{order}")
    return next(event.metadata.id for event in stream if event.metadata.type == "OrderCancelled")


def in_queue(system: Deployed, consumer: str) -> int:
    """The number of messages in the queue: waiting, in flight or delayed."""
    sqs = system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    return sum(map(int, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=_WAITING)["Attributes"].values()))


_WAITING = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]

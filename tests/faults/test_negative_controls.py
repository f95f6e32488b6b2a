"""Each promise holds, and is broken as soon as its one guard is taken away: so it is the guard that keeps it.

More of them stand in test_faults.py: the ledger's condition, the guard of a change, the second opening of a stream.
"""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest
from rich.console import Console

from backbone.consumer import Reaction, reaction
from backbone.envelope import Envelope
from backbone.failure import Rejected
from backbone.state import State
from backbone.store import to_item
from backbone.work import Work
from events.inventory import StockReceived
from events.orders import OrderPlaced
from local.faults import Fault, Faults
from local.progress import Progress
from local.system import STAGE, up
from ops.connection import Connection
from tests.deployed.deployed import Deployed, an_order, unique
from tests.deployed.in_process import handle, meanwhile, process_of, race, unguarded
from tests.local.left_behind import until
from tests.unit import builders
from tests.unit.world import Context

both_ways = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])


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


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    return Faults(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def system(faults: Faults) -> Iterator[Deployed]:
    """A system of their own: without its guards it is left broken."""
    with up(Progress(Console(file=io.StringIO())), extra=faults.environment) as cloud:
        yield Deployed(cloud, Connection(STAGE, cloud.session(), endpoint=cloud.endpoint))


@both_ways
def test_only_the_version_of_a_saved_row_keeps_one_from_overwriting_what_another_saved(
    system: Deployed, guarded: bool
) -> None:
    sku = unique("mug")

    with process_of(system, "place-order"), race(2), held(guarded, unguarded(system.table("orders", "place-order"))):
        handle(counting, two_orders(sku))

    with expected_to_hold(guarded):
        assert system.row("orders", sku, of="place-order")["total"] == 2


@both_ways
def test_only_the_condition_of_an_append_keeps_a_stream_whole_when_two_append_at_once(
    system: Deployed, guarded: bool
) -> None:
    sku = unique("mug")
    orders = two_orders(sku)

    with process_of(system, "reserve-stock"), race(2), held(guarded, unguarded(system.connection.names.store)):
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
        without = held(guarded, unguarded(system.connection.names.ledger, rows="cursor#"))
        with without, meanwhile(lambda: deliver(refusing, first)):
            deliver(following, third)

    with expected_to_hold(guarded):
        assert system.row("stock", f"course of {sku}", of="receive-stock") == {}


@both_ways
def test_only_the_partial_answer_keeps_a_message_that_failed(system: Deployed, faults: Faults, guarded: bool) -> None:
    failing = Fault.denied(function="place-order", operation="TransactWriteItems")

    with held(guarded, whole_batches(system, "place-order")), faults.bring(failing):
        (placed,) = system.sends(an_order())
        until(lambda: faults.brought(failing), what="place-order has failed")
        until(lambda: nothing_in_queue(system, "place-order"), what="its message is done with, or lost")

    with expected_to_hold(guarded):
        entry = system.connection.ledger.find(placed, "place-order")
        assert entry
        assert entry.done


@both_ways
def test_only_the_way_over_the_store_keeps_what_was_handled_in_the_store(system: Deployed, guarded: bool) -> None:
    order = builders.recorded(builders.an_order(unique("order")))

    if guarded:
        (handled,) = system.sends(an_order(unique("order")))
    else:
        handled = put_past_the_store(system, order)
    until(lambda: "committed" in system.says("place-order", handled), what="place-order has handled it")

    with expected_to_hold(guarded):
        for entry in system.connection.ledger.of_event(handled):
            stored = system.connection.store.stream(entry.stream, after=entry.sequence - 1)
            assert handled in {envelope.metadata.id for envelope in stored}


def held(guarded: bool, without: AbstractContextManager[None]) -> AbstractContextManager[None]:
    return nullcontext() if guarded else without


def expected_to_hold(guarded: bool) -> AbstractContextManager[object]:
    return nullcontext() if guarded else pytest.raises(AssertionError)


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


def put_past_the_store(system: Deployed, event: Envelope) -> str:
    """Put an event on the event bus that is not in the store; only publish's role may. Returns its id."""
    entry = {"EventBusName": system.connection.names.event_bus, "Source": event.source}
    answer = system.cloud.client("events").put_events(
        Entries=[{**entry, "DetailType": event.metadata.type, "Detail": event.detail}]
    )
    assert not answer["FailedEntryCount"]
    return event.metadata.id


@contextmanager
def whole_batches(system: Deployed, consumer: str) -> Iterator[None]:
    """In the block, what a consumer says of single messages is not listened to."""
    lambda_ = system.cloud.client("lambda")
    name = system.connection.names.of(consumer)
    (mapping,) = lambda_.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    lambda_.update_event_source_mapping(UUID=mapping["UUID"], FunctionResponseTypes=[])
    try:
        yield
    finally:
        lambda_.update_event_source_mapping(
            UUID=mapping["UUID"], FunctionResponseTypes=mapping["FunctionResponseTypes"]
        )


def nothing_in_queue(system: Deployed, consumer: str) -> bool:
    """Whether no message waits, is being handled, or will come again."""
    sqs = system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    return not any(map(int, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=_WAITING)["Attributes"].values()))


_WAITING = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]

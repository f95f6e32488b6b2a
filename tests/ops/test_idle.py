"""Finding the work in progress in a stage, and waiting until the stage is idle."""

from datetime import UTC, datetime, timedelta

import pytest

from daybook.contracts import clock
from daybook.contracts.contract import Place
from daybook.operate.idle import (
    Overdue,
    Queued,
    Undelivered,
    Unrecorded,
    Unsettled,
    unsettled,
    wait_until_done,
    wait_until_idle,
)
from daybook.store.event_store import Draft
from daybook.store.timers import DueTable, Timer
from daybook.testing.keys import writer
from tests.ops.world import World, morning


def summary(found: list[Unsettled]) -> list[object]:
    return [(each.event.id, each.consumer) if isinstance(each, Undelivered) else each for each in found]


def test_an_event_is_in_progress_until_every_subscriber_has_a_ledger_row(world: World) -> None:
    world.listens("place-order", "OrderPlaced")
    world.listens("reserve-stock", "OrderPlaced")
    placed = world.recorded("OrderPlaced", "order/1001", event_id="e-1")
    world.handled(placed, "place-order")

    assert summary(unsettled(world.connection, morning())) == [("e-1", "reserve-stock")]

    world.handled(placed, "reserve-stock")
    assert unsettled(world.connection, morning()) == []


def test_events_before_since_do_not_count(world: World) -> None:
    world.listens("place-order", "OrderPlaced")
    world.recorded("OrderPlaced", "order/1001", after=-1000)

    assert unsettled(world.connection, morning()) == []


def test_an_expected_or_emitted_event_that_is_not_in_the_journal_is_in_progress(world: World) -> None:
    world.listens("reserve-stock", "OrderPlaced")
    placed = world.recorded("OrderPlaced", "order/1001")
    world.handled(placed, "reserve-stock", "emitted")

    found = unsettled(world.connection, morning(), expected=[placed.metadata.id, "sent"])

    assert found == [Unrecorded("emitted"), Unrecorded("sent")]


def test_messages_in_queues_are_in_progress_except_dead_letters_and_other_stages(
    world: World,
) -> None:
    world.queued("reserve-stock")
    world.queued("reserve-stock", suffix="-dead")
    url = world.connection.sqs.create_queue(QueueName="daybook-dev2-reserve-stock")["QueueUrl"]
    world.connection.sqs.send_message(QueueUrl=url, MessageBody="{}")

    expected = Queued("daybook-dev-reserve-stock", waiting=1, in_flight=0, delayed=0)
    assert unsettled(world.connection, morning()) == [expected]

    url = world.connection.sqs.get_queue_url(QueueName=expected.queue)["QueueUrl"]
    world.connection.sqs.receive_message(QueueUrl=url)
    assert unsettled(world.connection, morning()) == [Queued(expected.queue, waiting=0, in_flight=1, delayed=0)]


def test_a_due_timer_is_in_progress_until_it_has_fired(world: World) -> None:
    past, future = (clock.timestamp(datetime.now(UTC) + timedelta(hours=hours)) for hours in (-0.1, 1))
    arm(world, "order/1001", past)
    arm(world, "order/1002", future)

    assert unsettled(world.connection, morning()) == [Overdue("order/1001", past)]
    assert wait_until_idle(world.connection, morning(), datetime.now(UTC)) == [Overdue("order/1001", past)]


def test_it_does_not_wait_for_other_events(world: World) -> None:
    world.listens("reserve-stock", "OrderPlaced")
    world.recorded("OrderPlaced", "order/1001")
    ours = world.recorded("OrderPlaced", "order/1002")
    world.handled(ours, "reserve-stock")
    world.queued("reserve-stock")

    assert wait_until_done(world.connection, [ours.metadata.id], morning(), soon()) == []
    assert wait_until_done(world.connection, ["sent"], morning(), datetime.now(UTC)) == [Unrecorded("sent")]


def test_it_waits_for_the_events_that_an_event_has_caused(world: World) -> None:
    world.listens("reserve-stock", "OrderPlaced")
    world.listens("charge-order", "StockReserved")
    placed = world.recorded("OrderPlaced", "order/1001")
    reserved = world.recorded("StockReserved", "reservation/1001", cause=placed)
    world.handled(placed, "reserve-stock", reserved)

    left = wait_until_done(world.connection, [placed.metadata.id], morning(), datetime.now(UTC))
    assert summary([*left]) == [(reserved.metadata.id, "charge-order")]

    world.handled(reserved, "charge-order")
    assert wait_until_done(world.connection, [placed.metadata.id], morning(), soon()) == []


def arm(world: World, stream: str, time: str) -> None:
    draft = Draft(f"due of {stream}", "PaymentWindowEnded", 1, stream, time, "{}", "place-order", "daybook.orders")
    timer = Timer.proven(draft, Place.CONTINUES, writer(draft.producer))
    part = DueTable(world.connection.dynamodb, world.names.due).schedule(timer)
    world.connection.dynamodb.transact_write_items(TransactItems=[part])


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=30)


def test_waiting_ends_when_the_stage_is_idle(world: World) -> None:
    world.listens("reserve-stock", "OrderPlaced")
    placed = world.recorded("OrderPlaced", "order/1001")
    looks = 0

    def handle_it_after_the_second_look(**_: object) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            world.handled(placed, "reserve-stock")

    world.connection.dynamodb.meta.events.register("after-call.dynamodb.BatchGetItem", handle_it_after_the_second_look)

    assert wait_until_idle(world.connection, morning(), datetime.now(UTC) + timedelta(seconds=30)) == []
    assert looks == 3


@pytest.mark.parametrize("what", ["delivery", "queue"])
def test_waiting_ends_at_the_deadline_with_the_remaining_work(world: World, what: str) -> None:
    if what == "delivery":
        world.listens("reserve-stock", "OrderPlaced")
        world.recorded("OrderPlaced", "order/1001")
    else:
        world.queued("reserve-stock")

    assert len(wait_until_idle(world.connection, morning(), datetime.now(UTC))) == 1


def test_deliveries_with_a_final_status_are_not_read_again(world: World) -> None:
    world.listens("place-order", "OrderPlaced")
    for number in range(120):
        world.handled(world.recorded("OrderPlaced", f"order/{number}", admitted=False), "place-order")
    reads: list[str] = []
    world.connection.dynamodb.meta.events.register(
        "before-call.dynamodb.BatchGetItem", lambda **_: reads.append("BatchGetItem")
    )

    assert wait_until_idle(world.connection, morning(), datetime.now(UTC) + timedelta(seconds=30)) == []
    assert len(reads) == 2  # 100 rows each

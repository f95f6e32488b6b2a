"""What is under way in a stage, and waiting until nothing is."""

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
from tests.ops.world import World, morning


def told(found: list[Unsettled]) -> list[object]:
    return [(each.event.id, each.consumer) if isinstance(each, Undelivered) else each for each in found]


def test_an_event_is_under_way_until_every_subscriber_has_a_row_in_the_ledger(world: World) -> None:
    world.listens("place-order", "OrderPlaced")
    world.listens("reserve-stock", "OrderPlaced")
    placed = world.recorded("OrderPlaced", "order/1001", event_id="e-1")
    world.handled(placed, "place-order")

    assert told(unsettled(world.connection, morning())) == [("e-1", "reserve-stock")]

    world.handled(placed, "reserve-stock")
    assert unsettled(world.connection, morning()) == []


def test_events_before_that_moment_do_not_count(world: World) -> None:
    world.listens("place-order", "OrderPlaced")
    world.recorded("OrderPlaced", "order/1001", after=-1000)

    assert unsettled(world.connection, morning()) == []


def test_an_event_that_is_expected_or_emitted_and_not_in_the_journal_is_under_way(world: World) -> None:
    world.listens("reserve-stock", "OrderPlaced")
    placed = world.recorded("OrderPlaced", "order/1001")
    world.handled(placed, "reserve-stock", "emitted")

    found = unsettled(world.connection, morning(), expected=[placed.metadata.id, "sent"])

    assert found == [Unrecorded("emitted"), Unrecorded("sent")]


def test_messages_in_queues_are_under_way_but_not_those_among_the_dead_letters_or_of_another_stage(
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


def test_a_timer_is_under_way_when_its_time_has_come_and_no_fire_timers_has_fired_it(world: World) -> None:
    past, future = (clock.timestamp(datetime.now(UTC) + timedelta(hours=hours)) for hours in (-0.1, 1))
    arm(world, "order/1001", past)
    arm(world, "order/1002", future)

    assert unsettled(world.connection, morning()) == [Overdue("order/1001", past)]
    assert wait_until_idle(world.connection, morning(), datetime.now(UTC)) == [Overdue("order/1001", past)]


def test_what_other_events_have_caused_is_not_waited_for(world: World) -> None:
    world.listens("reserve-stock", "OrderPlaced")
    world.recorded("OrderPlaced", "order/1001")
    ours = world.recorded("OrderPlaced", "order/1002")
    world.handled(ours, "reserve-stock")
    world.queued("reserve-stock")

    assert wait_until_done(world.connection, [ours.metadata.id], morning(), soon()) == []
    assert wait_until_done(world.connection, ["sent"], morning(), datetime.now(UTC)) == [Unrecorded("sent")]


def test_what_an_event_has_caused_is_waited_for(world: World) -> None:
    world.listens("reserve-stock", "OrderPlaced")
    world.listens("charge-order", "StockReserved")
    placed = world.recorded("OrderPlaced", "order/1001")
    reserved = world.recorded("StockReserved", "reservation/1001", cause=placed)
    world.handled(placed, "reserve-stock", reserved)

    left = wait_until_done(world.connection, [placed.metadata.id], morning(), datetime.now(UTC))
    assert told([*left]) == [(reserved.metadata.id, "charge-order")]

    world.handled(reserved, "charge-order")
    assert wait_until_done(world.connection, [placed.metadata.id], morning(), soon()) == []


def arm(world: World, stream: str, time: str) -> None:
    draft = Draft(f"due of {stream}", "PaymentWindowEnded", 1, stream, time, "{}", "place-order", "daybook.orders")
    part = DueTable(world.connection.dynamodb, world.names.due).schedule(Timer(draft, Place.CONTINUES))
    world.connection.dynamodb.transact_write_items(TransactItems=[part])


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=30)


def test_waiting_ends_as_soon_as_all_is_idle(world: World) -> None:
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
def test_waiting_ends_at_the_deadline_with_what_is_left(world: World, what: str) -> None:
    if what == "delivery":
        world.listens("reserve-stock", "OrderPlaced")
        world.recorded("OrderPlaced", "order/1001")
    else:
        world.queued("reserve-stock")

    assert len(wait_until_idle(world.connection, morning(), datetime.now(UTC))) == 1


def test_what_is_settled_is_not_asked_for_again(world: World) -> None:
    world.listens("place-order", "OrderPlaced")
    for number in range(120):
        world.handled(world.recorded("OrderPlaced", f"order/{number}", admitted=False), "place-order")
    reads: list[str] = []
    world.connection.dynamodb.meta.events.register(
        "before-call.dynamodb.BatchGetItem", lambda **_: reads.append("BatchGetItem")
    )

    assert wait_until_idle(world.connection, morning(), datetime.now(UTC) + timedelta(seconds=30)) == []
    assert len(reads) == 2  # 100 rows each

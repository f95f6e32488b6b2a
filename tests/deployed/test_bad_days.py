"""Days on which the store is throttled, queues deliver as they like, clocks are wrong, and consumers are gone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.local.faults import BARRIER_TIMEOUT, Fault, Faults, long_timeouts
from daybook.operate.trace.trace import Delivery, Trace
from daybook.store.ledger import COMMITTED, Entry
from tests.deployed.deployed import (
    CONFIRMED,
    Deployed,
    an_order,
    paused,
    short_visibility_timeout,
    stock_received,
    unique,
)
from tests.deployed.test_commands import daybook
from tests.faults.test_faults import publish_again, redeliver
from tests.local.processes import until

STATUS_OF = "order-status-placed"


def an_order_number() -> str:
    """A number that says that its order has had a bad day: others look whether theirs had none."""
    return unique("bad-day")


@pytest.mark.parametrize("code", ["ThrottlingException", "ProvisionedThroughputExceededException"])
def test_an_order_is_reserved_once_although_the_store_is_throttled(system: Deployed, faults: Faults, code: str) -> None:
    sku, order = unique("mug"), an_order_number()
    system.receives(stock_received(sku, 5))
    write, attempts = "TransactWriteItems", 3  # as often as botocore tries: the function sees it once
    throttled = [
        Fault.throttled(code, function="admit", operation=write, table="store", times=attempts),
        Fault.throttled(code, function="reserve-stock", operation="BatchGetItem", times=attempts),
        Fault.throttled(code, function="place-order", operation=write, times=attempts),
        Fault.throttled(code, function=STATUS_OF, operation=write, times=2),  # and once it does not
    ]

    with (
        short_visibility_timeout(system, "admit", until_true=lambda: faults.injected_count(throttled[0]) == attempts),
        faults.inject(*throttled),
    ):
        system.receives(an_order(order, lines=[(sku, 2)]))

    assert [faults.injected_count(fault) for fault in throttled] == [3, 3, 3, 2]
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == (3, 2)


def test_events_that_come_twice_late_and_in_reverse_leave_what_those_in_order_leave(system: Deployed) -> None:
    sku, order, usual = unique("mug"), an_order_number(), an_order_number()
    system.receives(stock_received(sku, 5))
    system.receives(an_order(usual, lines=[(sku, 2)]))

    with paused(system, STATUS_OF):
        (placed,) = system.sends(an_order(order, lines=[(sku, 2)]))
        until(
            lambda: status(system, order).get("status") == "confirmed", what="the second event has overtaken the first"
        )
        assert "total" not in status(system, order)
    system.finishes(placed)
    redeliver(system, f"order/{order}", STATUS_OF)
    redeliver(system, f"order/{order}", "reserve-stock")
    redeliver(system, f"reservation/{order}", "order-status-reserved")

    assert facts(status(system, order)) == facts(status(system, usual))
    assert system.pieces(sku) == (1, 4)


def test_of_two_deliveries_at_the_same_time_in_two_processes_one_is_done(system: Deployed, faults: Faults) -> None:
    sku, order = unique("mug"), an_order_number()
    system.receives(stock_received(sku, 5))
    commit = {"function": "reserve-stock", "operation": "TransactWriteItems", "mentions": order}
    both = Fault.barrier(BARRIER_TIMEOUT, **commit, times=2)

    with long_timeouts(system.cloud, "reserve-stock"), faults.inject(both):
        (placed,) = system.sends(an_order(order, lines=[(sku, 2)]))
        until(lambda: faults.injected_count(both), what="one process is about to commit")
        publish_again(system, f"order/{order}")
        until(lambda: len(system.log("reserve-stock", placed)) == 2, what="both have come to their end")

    told = system.log("reserve-stock", placed)
    assert sorted(line["message"] for line in told) == ["committed", "duplicate"]
    assert len({line["message_id"] for line in told}) == 2
    system.finishes(placed)
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == (3, 2)


def test_an_order_whose_producers_clock_is_an_hour_ahead_is_refused_and_taken_once_the_clock_is_right(
    system: Deployed,
) -> None:
    order = an_order_number()

    (ahead,) = system.sends(at(datetime.now(UTC) + timedelta(hours=1), an_order(order)))
    assert system.refusals(ahead) == {ahead: "BadTime"}
    system.receives(at(datetime.now(UTC), an_order(order)))

    assert system.trace(f"order/{order}").steps[0].event.metadata.id != ahead
    assert status(system, order)


def test_an_order_whose_producers_clock_is_an_hour_behind_is_recorded_now_and_keeps_its_own_time(
    system: Deployed,
) -> None:
    order, began = an_order_number(), clock.now()
    behind = datetime.now(UTC) - timedelta(hours=1)

    system.receives(at(behind, an_order(order)))

    metadata = system.trace(f"order/{order}").steps[0].event.metadata
    assert metadata.time == clock.timestamp(behind)
    assert metadata.recorded_at >= began


def test_the_account_of_a_consumer_that_is_no_longer_there_is_shown_and_nobody_waits_for_it(system: Deployed) -> None:
    order = an_order_number()
    (placed,) = system.sends(an_order(order))
    system.finishes(placed)
    gone = Entry(placed, "wrap-gift", COMMITTED, clock.now(), f"order/{order}", 1)
    dynamodb = system.cloud.client("dynamodb")
    dynamodb.transact_write_items(TransactItems=[system.connection.ledger.record(gone)])

    system.finishes(placed)
    traced = daybook(system, "trace", f"order/{order}")

    journey = system.trace(f"order/{order}")
    assert journey.waiting == 0
    assert "wrap-gift" in {delivery.consumer for delivery in deliveries(journey)}
    assert traced.returncode == 0
    assert "wrap-gift  committed" in traced.stdout


@pytest.mark.parametrize(("on_the_shelf", "outcome", "left"), [(5, "StockReserved", (0, 5)), (4, "OutOfStock", (4, 0))])
def test_two_lines_of_one_article_are_one_wish(
    system: Deployed, on_the_shelf: int, outcome: str, left: tuple[int, int]
) -> None:
    sku, order = unique("mug"), an_order_number()
    system.receives(stock_received(sku, on_the_shelf))

    system.receives(an_order(order, lines=[(sku, 2), (sku, 3)]))

    assert system.outcome(order) == [outcome]
    assert system.pieces(sku) == left


def at(time: datetime, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry, which happened at that time by its producer's word."""
    return {**entry, "Detail": {**entry["Detail"], "metadata": {"time": clock.timestamp(time)}}}


def status(system: Deployed, order: str) -> dict[str, Any]:
    return system.row("order-status", order, of=STATUS_OF)


def facts(row: dict[str, Any]) -> dict[str, Any]:
    """What the row says, without what it says about itself."""
    return {name: value for name, value in row.items() if name in {"status", "total", "currency"}}


def deliveries(journey: Trace) -> list[Delivery]:
    return [delivery for step in journey.steps for delivery in step.deliveries]

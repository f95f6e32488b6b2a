"""The deployed system under throttling, duplicates, disorder, wrong clocks and removed consumers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.local.faults import BARRIER_TIMEOUT, Fault, Faults, long_timeouts
from daybook.operate.trace.trace import Delivery, Trace
from daybook.runtime import rules
from daybook.store.ledger import COMMITTED, LedgerEntry
from daybook.store.register import Register
from tests.deployed.deployed import CONFIRMED, Deployed, an_order, paused, short_visibility_timeout, stock_received
from tests.deployed.test_commands import daybook
from tests.faults.test_faults import publish_again, redeliver
from tests.local.processes import unique, until

STATUS_OF = "order-status-placed"


@pytest.mark.parametrize("code", ["ThrottlingException", "ProvisionedThroughputExceededException"])
def test_an_order_is_reserved_once_although_the_store_is_throttled(system: Deployed, faults: Faults, code: str) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 5))
    write, attempts = "TransactWriteItems", 3  # the number of botocore's attempts: the function sees one error
    throttled = [
        Fault.throttled(code, function="admit", operation=write, table="store", times=attempts),
        Fault.throttled(code, function="reserve-stock", operation="BatchGetItem", times=attempts),
        Fault.throttled(code, function="place-order", operation=write, times=attempts),
        Fault.throttled(
            code, function=STATUS_OF, operation="UpdateItem", times=2
        ),  # one attempt fewer: the function sees no error
    ]

    with (
        short_visibility_timeout(system, "admit", until_true=lambda: faults.injected_count(throttled[0]) == attempts),
        faults.inject(*throttled),
    ):
        system.receives(an_order(order, lines=[(sku, 2)]))

    assert [faults.injected_count(fault) for fault in throttled] == [3, 3, 3, 2]
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == (3, 2)


def test_duplicated_late_and_reversed_events_give_the_same_rows_as_events_in_order(system: Deployed) -> None:
    sku, order, usual = unique("mug"), unique("order"), unique("order")
    system.receives(stock_received(sku, 5))
    system.receives(an_order(usual, lines=[(sku, 2)]))

    with paused(system, STATUS_OF):
        (placed,) = system.sends(an_order(order, lines=[(sku, 2)]))
        until(
            lambda: status(system, order).get("status") == "confirmed",
            what="the second event is processed before the first",
        )
        assert "total" not in status(system, order)
    system.finishes(placed)
    redeliver(system, f"order/{order}", STATUS_OF)
    redeliver(system, f"order/{order}", "reserve-stock")
    redeliver(system, f"reservation/{order}", "order-status-reserved")

    assert facts(status(system, order)) == facts(status(system, usual))
    assert system.pieces(sku) == (1, 4)


def test_of_two_simultaneous_deliveries_in_two_processes_one_is_committed(system: Deployed, faults: Faults) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 5))
    commit = {"function": "reserve-stock", "operation": "TransactWriteItems", "mentions": order}
    both = Fault.barrier(BARRIER_TIMEOUT, **commit, times=2)

    with long_timeouts(system.cloud, "reserve-stock"), faults.inject(both):
        (placed,) = system.sends(an_order(order, lines=[(sku, 2)]))
        until(lambda: faults.injected_count(both), what="one process is about to commit")
        publish_again(system, f"order/{order}")
        until(lambda: len(system.log("reserve-stock", placed)) == 2, what="both have ended")

    lines = system.log("reserve-stock", placed)
    assert sorted(line["message"] for line in lines) == ["committed", "duplicate"]
    assert len({line["message_id"] for line in lines}) == 2
    system.finishes(placed)
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == (3, 2)


def test_an_order_from_a_clock_that_is_an_hour_ahead_is_rejected_and_accepted_when_the_clock_is_right(
    system: Deployed,
) -> None:
    order = unique("order")

    (ahead,) = system.sends(at(datetime.now(UTC) + timedelta(hours=1), an_order(order)))
    assert system.refusals(ahead) == {ahead: "BadTime"}
    system.receives(at(datetime.now(UTC), an_order(order)))

    assert system.trace(f"order/{order}").steps[0].event.metadata.id != ahead
    assert status(system, order)


def test_an_order_from_a_clock_that_is_an_hour_behind_is_recorded_now_and_keeps_its_own_time(
    system: Deployed,
) -> None:
    order, began = unique("order"), clock.now()
    behind = datetime.now(UTC) - timedelta(hours=1)

    system.receives(at(behind, an_order(order)))

    metadata = system.trace(f"order/{order}").steps[0].event.metadata
    assert metadata.time == clock.timestamp(behind)
    assert metadata.recorded_at >= began


def test_the_status_at_a_removed_consumer_is_shown_and_the_trace_is_complete(system: Deployed) -> None:
    order = unique("order")
    (placed,) = system.sends(an_order(order))
    system.finishes(placed)
    names, client = system.connection.names, system.cloud.client("events")
    subscribed = {name: pattern.get("detail-type", ()) for name, pattern in rules.patterns(client, names)}
    Register(system.connection.dynamodb, names.ledger).update({**subscribed, "wrap-gift": ["OrderPlaced"]})
    gone = LedgerEntry(placed, "wrap-gift", COMMITTED, clock.now(), f"order/{order}", 1)
    dynamodb = system.cloud.client("dynamodb")
    dynamodb.transact_write_items(
        TransactItems=[system.connection.ledger.record(gone, system.connection.keyring.writer("wrap-gift"))]
    )

    system.finishes(placed)
    traced = daybook(system, "trace", f"order/{order}")

    trace = system.trace(f"order/{order}")
    assert trace.waiting == 0
    assert "wrap-gift" in {delivery.consumer for delivery in deliveries(trace)}
    assert traced.returncode == 0
    assert "wrap-gift  committed" in traced.stdout


@pytest.mark.parametrize(("available", "outcome", "left"), [(5, "StockReserved", (0, 5)), (4, "OutOfStock", (4, 0))])
def test_order_lines_with_the_same_article_are_summed(
    system: Deployed, available: int, outcome: str, left: tuple[int, int]
) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, available))

    system.receives(an_order(order, lines=[(sku, 2), (sku, 3)]))

    assert system.outcome(order) == [outcome]
    assert system.pieces(sku) == left


def at(time: datetime, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with this time as the producer's time."""
    return {**entry, "Detail": {**entry["Detail"], "metadata": {"time": clock.timestamp(time)}}}


def status(system: Deployed, order: str) -> dict[str, Any]:
    return system.row("order-status", order, of=STATUS_OF)


def facts(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of the row that do not depend on the delivery."""
    return {name: value for name, value in row.items() if name in {"status", "total", "currency"}}


def deliveries(trace: Trace) -> list[Delivery]:
    return [delivery for step in trace.steps for delivery in step.deliveries]

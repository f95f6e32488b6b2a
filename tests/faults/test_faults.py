"""Faults of AWS and killed processes: nothing is lost, and nothing is done twice.

Without its guards the system does fail, which shows that the guards prevent it.
"""

from typing import Any

import pytest

from daybook.local.faults import ALWAYS, BARRIER_TIMEOUT, Fault, Faults, long_timeouts
from daybook.store.ledger import COMMITTED
from tests.deployed.deployed import (
    CONFIRMED,
    Deployed,
    an_order,
    in_queue,
    paused,
    short_visibility_timeout,
    stock_received,
)
from tests.faults.guards import eventually, expected_to_hold, removed_unless, with_and_without_guard
from tests.local.processes import unique

RESERVE: Any = {"function": "reserve-stock", "operation": "TransactWriteItems"}
PUBLISH: Any = {"function": "publish", "operation": "PutEvents"}


@pytest.mark.parametrize(("when", "ends"), [("before", {"committed": 1}), ("after", {"committed": 0})])
def test_a_process_that_dies_at_its_commit_reserves_once(
    system: Deployed, faults: Faults, when: Any, ends: dict[str, int]
) -> None:
    order = unique("order")
    death = Fault.death(when, **RESERVE, mentions=order)

    with short_visibility_timeout(system, "reserve-stock"):
        placed = place_order_under(system, faults, order, death)

    assert faults.injected_count(death) == 1
    # If a process starts slowly, the message is delivered once more; one of the deliveries is then a duplicate.
    messages = [line["message"] for line in system.logged("reserve-stock", placed)]
    assert set(messages) <= {"committed", "duplicate"}, messages
    assert messages.count("committed") == ends["committed"], messages


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_that_times_out_once_is_committed_once(system: Deployed, faults: Faults, when: Any) -> None:
    order = unique("order")
    timeout = Fault.timeout(when, **RESERVE, mentions=order)

    placed = place_order_under(system, faults, order, timeout)

    assert faults.injected_count(timeout) == 1
    reports(system, placed, "committed")


@pytest.mark.parametrize(("when", "finally_"), [("before", "committed"), ("after", "duplicate")])
def test_a_commit_without_any_answer_reserves_once(system: Deployed, faults: Faults, when: Any, finally_: str) -> None:
    order = unique("order")
    timeout = Fault.timeout(when, **RESERVE, mentions=order, times=3)  # all of botocore's attempts

    placed = place_order_under(system, faults, order, timeout)

    assert faults.injected_count(timeout) == 3
    reports(system, placed, "failed", finally_)


def test_conflicts_are_retried_and_are_not_failures(system: Deployed, faults: Faults) -> None:
    order = unique("order")
    conflict = Fault.conflict(function="reserve-stock", table="stock", mentions=order, times=3)

    placed = place_order_under(system, faults, order, conflict)

    assert faults.injected_count(conflict) == 3
    (line,) = system.logged("reserve-stock", placed)
    assert (line["message"], line["conflicts"]) == ("committed", 3)


def test_a_forbidden_call_fails_the_delivery_which_is_redelivered(system: Deployed, faults: Faults) -> None:
    order = unique("order")
    denied = Fault.denied(**RESERVE, mentions=order)

    placed = place_order_under(system, faults, order, denied)

    assert faults.injected_count(denied) == 1
    reports(system, placed, "failed", "committed")


def test_unprocessed_keys_are_read_again(system: Deployed, faults: Faults) -> None:
    sku, other, order = unique("mug"), unique("poster"), unique("order")
    system.receives(stock_received(sku, 5), stock_received(other, 5))
    read: Any = {"function": "reserve-stock", "operation": "BatchGetItem", "mentions": sku}
    nothing, partial = Fault.partial(0, **read), Fault.partial(1, **read)

    with faults.inject(nothing, partial):
        system.receives(an_order(order, lines=[(sku, 2), (other, 2)]))

    assert (faults.injected_count(nothing), faults.injected_count(partial)) == (1, 1)
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == system.pieces(other) == (3, 2)


def test_events_that_eventbridge_rejected_are_published_again(system: Deployed, faults: Faults) -> None:
    sku = unique("mug")
    orders = [unique("order") for _ in range(6)]
    system.receives(stock_received(sku, 6))
    partial = Fault.partial(1, **PUBLISH, times=3)

    with faults.inject(partial):
        with paused(system, "publish"):  # so that all six are published together
            placed = system.sends(*(an_order(order, lines=[(sku, 1)]) for order in orders))
            eventually(lambda: stored(system, orders), "all six are stored", expected=6)
        system.finishes(*placed)

    assert faults.injected_count(partial) == 3
    assert system.pieces(sku) == (0, 6)


def test_events_are_published_although_eventbridge_throttles_and_publish_is_killed(
    system: Deployed, faults: Faults
) -> None:
    one, other = unique("order"), unique("order")
    throttled = Fault.throttled(**PUBLISH, mentions=one, times=3)  # all of botocore's attempts
    death = Fault.death("after", **PUBLISH, mentions=other)

    place_order_under(system, faults, one, throttled)
    place_order_under(system, faults, other, death)

    assert faults.injected_count(throttled) == 3
    assert faults.injected_count(death) == 1


def test_in_a_batch_of_ten_a_message_that_kills_its_process_is_dead_and_nine_are_processed_once(
    system: Deployed, faults: Faults
) -> None:
    orders = [unique("order") for _ in range(10)]
    deadly, *others = orders
    death = Fault.death("before", function="place-order", operation="TransactWriteItems", mentions=deadly, times=ALWAYS)
    system.receives(an_order())  # starts a process of place-order, so that the batch has its full time
    # Otherwise consumers that need the orders would reach their maximum age. A message is redelivered only when its
    # function must have ended, so no process still handles it, and deaths can be counted.
    with paused(system, "cancel-unstocked"), faults.inject(death):
        with paused(system, "place-order"):
            placed = dict(zip(orders, system.sends(*map(an_order, orders)), strict=True))
            eventually(lambda: in_queue(system, "place-order"), "all ten wait", expected=10)
        entry = system.dead(placed[deadly], "place-order")
        eventually(lambda: placed_of(system, others), "nine are placed", expected=others)
    system.finishes(*(placed[order] for order in others))

    assert entry.details["error"] == "ProcessDied"
    # Once unnoted, with the others. Then each time with a note; the last of these attempts has begun and not ended.
    assert faults.injected_count(death) == 1 + entry.details["crashes"] + entry.details["begun"]
    assert system.row("orders", deadly, of="place-order") == {}
    for order in others:
        done = system.connection.ledger.find(placed[order], "place-order")
        assert done
        # Placed once, then cancelled, because there is no stock.
        assert (done.state, system.row("orders", order, of="place-order")["version"]) == (COMMITTED, 2)


def test_faults_affect_only_matching_calls_while_they_are_injected(system: Deployed, faults: Faults) -> None:
    order = unique("order")
    elsewhere = Fault.death("before", **RESERVE, mentions=order, table="orders")
    of_another = Fault.death("before", **RESERVE, mentions=unique("order"))
    over = Fault.death("before", **RESERVE, mentions=order)
    with faults.inject(over):
        pass

    place_order_under(system, faults, order, elsewhere, of_another, wait=False)

    assert faults.injected_count(elsewhere) == faults.injected_count(of_another) == faults.injected_count(over) == 0


def test_no_bundle_contains_fault_injection(system: Deployed) -> None:
    files = {file.name for file in (system.cloud.folder / "assembly").rglob("*.py")}

    assert {"reserve_stock.py", "consumer.py"} <= files
    assert not {"sitecustomize.py", "hooks.py"} & files


# --- negative controls: each guard, and the system without it --------------------------------------------------------


@with_and_without_guard
def test_only_the_ledgers_condition_prevents_a_duplicate_from_counting_twice(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    sku = unique("mug")
    (received,) = system.sends(stock_received(sku, 5))
    system.finishes(received)

    with faults.inject(
        *removed_unless(guarded, Fault.without_conditions(table="ledger", function="receive-stock", mentions=sku))
    ):
        redeliver(system, f"stock/{sku}", "receive-stock")

    with expected_to_hold(guarded):
        assert system.pieces(sku) == (5, 0)


@with_and_without_guard
def test_only_the_condition_of_a_change_prevents_two_orders_from_taking_the_last_piece(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    sku = unique("mug")
    system.receives(stock_received(sku, 1))
    both_have_read = Fault.barrier(BARRIER_TIMEOUT, **RESERVE, mentions=sku, table="stock", times=2)
    without = removed_unless(guarded, Fault.without_conditions(table="stock", function="reserve-stock", mentions=sku))

    with long_timeouts(system.cloud, "reserve-stock"), faults.inject(both_have_read, *without):
        (first,) = system.sends(an_order(lines=[(sku, 1)]))
        # The second order comes later, because one process would handle both one after the other.
        eventually(lambda: faults.injected_count(both_have_read), "the first order has seen the last piece")
        (second,) = system.sends(an_order(lines=[(sku, 1)]))
        system.finishes(first, second)

    assert faults.injected_count(both_have_read) == 2
    with expected_to_hold(guarded):
        assert system.pieces(sku) == (0, 1)


@with_and_without_guard
def test_only_the_condition_of_an_append_prevents_a_second_opening_from_overwriting(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    order = unique("order")
    (first,) = system.sends(an_order(order))
    system.finishes(first)

    with faults.inject(
        *removed_unless(guarded, Fault.without_conditions(table="store", function="admit", mentions=order))
    ):
        (second,) = system.sends(an_order(order))
        eventually(lambda: system.log_messages("admit", second), "admit has decided about the second")

    with expected_to_hold(guarded):
        assert system.trace(f"order/{order}").steps[0].event.metadata.id == first


def place_order_under(system: Deployed, faults: Faults, order: str, *several: Fault, wait: bool = True) -> str:
    """Place an order for 2 of 5 pieces with these faults; check that it is reserved once. Returns the id of
    OrderPlaced.

    The order can be processed before the last fault, if AWS did the work and only the answer was lost.
    """
    sku = unique("mug")
    system.receives(stock_received(sku, 5))
    with faults.inject(*several):
        (placed,) = system.sends(an_order(order, lines=[(sku, 2)]))
        system.finishes(placed)
        if wait:
            often = [fault.where.get("times", 1) for fault in several]
            eventually(lambda: [faults.injected_count(fault) for fault in several], "all faults occur", expected=often)
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == (3, 2)
    return placed


def reports(system: Deployed, placed: str, *messages: str) -> None:
    """Check that reserve-stock logs exactly these messages about the order."""
    eventually(
        lambda: system.log_messages("reserve-stock", placed), "reserve-stock logs all of it", expected=list(messages)
    )


def placed_of(system: Deployed, orders: list[str]) -> list[str]:
    """The orders that are placed."""
    return [order for order in orders if system.row("orders", order, of="place-order")]


def stored(system: Deployed, orders: list[str]) -> int:
    """The number of orders in the store."""
    return sum(1 for order in orders for _ in system.connection.store.stream(f"order/{order}"))


def redeliver(system: Deployed, stream: str, consumer: str) -> None:
    """Publish an event again that the consumer has processed, and wait until it has processed it again."""
    event = next(system.connection.store.stream(stream)).metadata.id
    earlier = len(system.logged(consumer, event))
    publish_again(system, stream)
    eventually(lambda: len(system.log_messages(consumer, event)) > earlier, f"{consumer} has heard it again")


def publish_again(system: Deployed, stream: str) -> None:
    """Publish the first event of a stream again."""
    event = next(system.connection.store.stream(stream))
    system.cloud.client("events").put_events(
        Entries=[
            {
                "EventBusName": system.connection.names.event_bus,
                "Source": event.source,
                "DetailType": event.metadata.type,
                "Detail": event.detail,
            }
        ]
    )

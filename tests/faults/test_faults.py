"""What AWS, or a dying process, may do to a function: nothing is lost, and nothing is done twice.

And the other way round: without its guards the system does break, so it is the guards that hold it.
"""

from typing import Any

import pytest

from daybook.local.faults import ALWAYS, BARRIER_TIMEOUT, Fault, Faults, long_timeouts
from daybook.store.ledger import COMMITTED
from tests.deployed.deployed import CONFIRMED, Deployed, an_order, goods, impatient, in_queue, paused, unique
from tests.faults.breaking import both_ways, eventually, expected_to_hold, unless

RESERVE: Any = {"function": "reserve-stock", "operation": "TransactWriteItems"}
PUBLISH: Any = {"function": "publish", "operation": "PutEvents"}


@pytest.mark.parametrize(("when", "ends"), [("before", {"committed": 1}), ("after", {"committed": 0})])
def test_a_process_that_dies_at_its_commit_reserves_once(
    system: Deployed, faults: Faults, when: Any, ends: dict[str, int]
) -> None:
    order = unique("order")
    death = Fault.death(when, **RESERVE, mentions=order)

    with impatient(system, "reserve-stock"):
        placed = an_order_meets(system, faults, order, death)

    assert faults.injected_count(death) == 1
    # A process that starts slowly is overtaken by one more delivery, which is a duplicate whoever is first.
    said = [line["message"] for line in system.logged("reserve-stock", placed)]
    assert set(said) <= {"committed", "duplicate"}, said
    assert said.count("committed") == ends["committed"], said


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_that_is_answered_at_the_second_attempt_is_one_commit(
    system: Deployed, faults: Faults, when: Any
) -> None:
    order = unique("order")
    timeout = Fault.timeout(when, **RESERVE, mentions=order)

    placed = an_order_meets(system, faults, order, timeout)

    assert faults.injected_count(timeout) == 1
    reports(system, placed, "committed")


@pytest.mark.parametrize(("when", "finally_"), [("before", "committed"), ("after", "duplicate")])
def test_a_commit_that_is_never_answered_reserves_once(
    system: Deployed, faults: Faults, when: Any, finally_: str
) -> None:
    order = unique("order")
    timeout = Fault.timeout(when, **RESERVE, mentions=order, times=3)  # as often as botocore tries

    placed = an_order_meets(system, faults, order, timeout)

    assert faults.injected_count(timeout) == 3
    reports(system, placed, "failed", finally_)


def test_conflicts_are_run_again_and_are_no_failures(system: Deployed, faults: Faults) -> None:
    order = unique("order")
    conflict = Fault.conflict(function="reserve-stock", table="stock", mentions=order, times=3)

    placed = an_order_meets(system, faults, order, conflict)

    assert faults.injected_count(conflict) == 3
    (line,) = system.logged("reserve-stock", placed)
    assert (line["message"], line["conflicts"]) == ("committed", 3)


def test_a_call_that_is_forbidden_fails_the_delivery_which_comes_again(system: Deployed, faults: Faults) -> None:
    order = unique("order")
    denied = Fault.denied(**RESERVE, mentions=order)

    placed = an_order_meets(system, faults, order, denied)

    assert faults.injected_count(denied) == 1
    reports(system, placed, "failed", "committed")


def test_keys_that_were_not_processed_are_read_again(system: Deployed, faults: Faults) -> None:
    sku, other, order = unique("mug"), unique("poster"), unique("order")
    system.receives(goods(sku, 5), goods(other, 5))
    read: Any = {"function": "reserve-stock", "operation": "BatchGetItem", "mentions": sku}
    nothing, partial = Fault.partial(0, **read), Fault.partial(1, **read)

    with faults.inject(nothing, partial):
        system.receives(an_order(order, lines=[(sku, 2), (other, 2)]))

    assert (faults.injected_count(nothing), faults.injected_count(partial)) == (1, 1)
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == system.pieces(other) == (3, 2)


def test_events_that_the_bus_did_not_take_arrive_all_the_same(system: Deployed, faults: Faults) -> None:
    sku = unique("mug")
    orders = [unique("order") for _ in range(6)]
    system.receives(goods(sku, 6))
    partial = Fault.partial(1, **PUBLISH, times=3)

    with faults.inject(partial):
        with paused(system, "publish"):  # so that all six are put on the bus together
            placed = system.sends(*(an_order(order, lines=[(sku, 1)]) for order in orders))
            eventually(lambda: stored(system, orders), "all six are stored", expected=6)
        system.settles(*placed)

    assert faults.injected_count(partial) == 3
    assert system.pieces(sku) == (0, 6)


def test_events_arrive_although_the_bus_is_throttled_and_publish_dies(system: Deployed, faults: Faults) -> None:
    one, other = unique("order"), unique("order")
    throttled = Fault.throttled(**PUBLISH, mentions=one, times=3)  # as often as botocore tries: the function sees it
    death = Fault.death("after", **PUBLISH, mentions=other)

    an_order_meets(system, faults, one, throttled)
    an_order_meets(system, faults, other, death)

    assert faults.injected_count(throttled) == 3
    assert faults.injected_count(death) == 1


def test_of_ten_orders_in_one_batch_the_one_that_kills_its_process_is_dead_and_nine_are_done_once(
    system: Deployed, faults: Faults
) -> None:
    orders = [unique("order") for _ in range(10)]
    deadly, *others = orders
    death = Fault.death("before", function="place-order", operation="TransactWriteItems", mentions=deadly, times=ALWAYS)
    system.receives(an_order())  # starts a process of place-order, so that the batch has all its time
    # Consumers that wait for the orders would give up meanwhile. A message comes again when its function must have
    # ended, so no process is at it still, and deaths can be counted.
    with paused(system, "cancel-unstocked"), faults.inject(death):
        with paused(system, "place-order"):
            placed = dict(zip(orders, system.sends(*map(an_order, orders)), strict=True))
            eventually(lambda: in_queue(system, "place-order"), "all ten wait", expected=10)
        entry = system.dead(placed[deadly], "place-order")
        eventually(lambda: placed_of(system, others), "nine are placed", expected=others)
    system.settles(*(placed[order] for order in others))

    assert entry.details["error"] == "ProcessDied"
    assert faults.injected_count(death) == 1 + entry.details["crashes"]  # in company first, and then alone
    assert system.row("orders", deadly, of="place-order") == {}
    for order in others:
        done = system.connection.ledger.find(placed[order], "place-order")
        assert done
        # Placed once, and then cancelled, since there are no such goods.
        assert (done.state, system.row("orders", order, of="place-order")["version"]) == (COMMITTED, 2)


def test_faults_strike_only_where_and_while_they_are_brought(system: Deployed, faults: Faults) -> None:
    order = unique("order")
    elsewhere = Fault.death("before", **RESERVE, mentions=order, table="orders")
    of_another = Fault.death("before", **RESERVE, mentions=unique("order"))
    over = Fault.death("before", **RESERVE, mentions=order)
    with faults.inject(over):
        pass

    an_order_meets(system, faults, order, elsewhere, of_another, strike=False)

    assert faults.injected_count(elsewhere) == faults.injected_count(of_another) == faults.injected_count(over) == 0


def test_nothing_of_this_is_deployed(system: Deployed) -> None:
    files = {file.name for file in (system.cloud.folder / "assembly").rglob("*.py")}

    assert {"reserve_stock.py", "consumer.py"} <= files
    assert not {"sitecustomize.py", "hooks.py"} & files


# --- the guards, and what happens without them ---------------------------------------------------------------------


@both_ways
def test_only_the_ledgers_condition_keeps_a_doubled_delivery_from_counting_twice(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    sku = unique("mug")
    (received,) = system.sends(goods(sku, 5))
    system.settles(received)

    with faults.inject(
        *unless(guarded, Fault.without_conditions(table="ledger", function="receive-stock", mentions=sku))
    ):
        heard_again(system, f"stock/{sku}", "receive-stock")

    with expected_to_hold(guarded):
        assert system.pieces(sku) == (5, 0)


@both_ways
def test_only_the_guard_of_a_change_keeps_two_orders_from_taking_the_last_piece(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    sku = unique("mug")
    system.receives(goods(sku, 1))
    both_have_seen_it = Fault.barrier(BARRIER_TIMEOUT, **RESERVE, mentions=sku, table="stock", times=2)
    without = unless(guarded, Fault.without_conditions(table="stock", function="reserve-stock", mentions=sku))

    with long_timeouts(system.cloud, "reserve-stock"), faults.inject(both_have_seen_it, *without):
        (first,) = system.sends(an_order(lines=[(sku, 1)]))
        # Only now the second order: one process that had both would handle them one after the other.
        eventually(lambda: faults.injected_count(both_have_seen_it), "the first order has seen the last piece")
        (second,) = system.sends(an_order(lines=[(sku, 1)]))
        system.settles(first, second)

    assert faults.injected_count(both_have_seen_it) == 2
    with expected_to_hold(guarded):
        assert system.pieces(sku) == (0, 1)


@both_ways
def test_only_the_condition_of_an_append_keeps_a_second_opening_from_overwriting(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    order = unique("order")
    (first,) = system.sends(an_order(order))
    system.settles(first)

    with faults.inject(*unless(guarded, Fault.without_conditions(table="store", function="admit", mentions=order))):
        (second,) = system.sends(an_order(order))
        eventually(lambda: system.says("admit", second), "admit has decided about the second")

    with expected_to_hold(guarded):
        assert system.journey(f"order/{order}").steps[0].event.metadata.id == first


def an_order_meets(system: Deployed, faults: Faults, order: str, *several: Fault, strike: bool = True) -> str:
    """Place an order for 2 of 5 pieces while the faults strike; it is reserved once. The id of its OrderPlaced.

    An order can be done before the last fault has struck, if AWS did the work and only its answer was lost.
    """
    sku = unique("mug")
    system.receives(goods(sku, 5))
    with faults.inject(*several):
        (placed,) = system.sends(an_order(order, lines=[(sku, 2)]))
        system.settles(placed)
        if strike:
            often = [fault.where.get("times", 1) for fault in several]
            eventually(lambda: [faults.injected_count(fault) for fault in several], "all faults strike", expected=often)
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == (3, 2)
    return placed


def reports(system: Deployed, placed: str, *messages: str) -> None:
    """Assert that reserve-stock logs these messages about the order, and no others."""
    eventually(lambda: system.says("reserve-stock", placed), "reserve-stock logs all of it", expected=list(messages))


def placed_of(system: Deployed, orders: list[str]) -> list[str]:
    """Those of the orders that are placed."""
    return [order for order in orders if system.row("orders", order, of="place-order")]


def stored(system: Deployed, orders: list[str]) -> int:
    """How many of the orders are in the store."""
    return sum(1 for order in orders for _ in system.connection.store.stream(f"order/{order}"))


def heard_again(system: Deployed, stream: str, consumer: str) -> None:
    """Put an event that the consumer has handled on the event bus once more, and wait until it has handled it again."""
    event = next(system.connection.store.stream(stream)).metadata.id
    earlier = len(system.logged(consumer, event))
    put_again(system, stream)
    eventually(lambda: len(system.says(consumer, event)) > earlier, f"{consumer} has heard it again")


def put_again(system: Deployed, stream: str) -> None:
    """Put the first event of a stream on the event bus once more."""
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

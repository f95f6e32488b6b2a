"""What AWS, or a dying process, may do to a function: nothing is lost, and nothing is done twice.

And the other way round: without its guards the system does break, so it is the guards that hold it.
"""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from backbone.ledger import COMMITTED
from local.cloud import Cloud
from local.faults import ALWAYS, Fault, Faults
from local.progress import Progress
from local.system import STAGE, up
from ops.connection import Connection
from tests.deployed.deployed import CONFIRMED, Deployed, an_order, goods, impatient, in_queue, paused, unique
from tests.local.left_behind import until

RESERVE: Any = {"function": "reserve-stock", "operation": "TransactWriteItems"}
PUBLISH: Any = {"function": "publish", "operation": "PutEvents"}


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    return Faults(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def cloud(faults: Faults) -> Iterator[Cloud]:
    """A system of their own: without their guards functions leave it broken."""
    with up(Progress(Console(file=io.StringIO())), extra=faults.environment) as cloud:
        Deployed(cloud, Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)).receives(
            goods("mug", 1), an_order()
        )
        yield cloud


@pytest.fixture
def system(cloud: Cloud) -> Deployed:
    """As each test finds it: what others have left under way is not waited for."""
    return Deployed(cloud, Connection(STAGE, cloud.session(), endpoint=cloud.endpoint))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_dies_at_its_commit_reserves_once(system: Deployed, faults: Faults, when: Any) -> None:
    death = Fault.death(when, **RESERVE)

    placed = an_order_meets(system, faults, death)

    assert faults.brought(death) == 1
    assert system.says("reserve-stock", placed)[0] == ("duplicate" if when == "after" else "committed")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_that_is_answered_at_the_second_attempt_is_one_commit(
    system: Deployed, faults: Faults, when: Any
) -> None:
    timeout = Fault.timeout(when, **RESERVE)

    placed = an_order_meets(system, faults, timeout)

    assert faults.brought(timeout) == 1
    assert system.says("reserve-stock", placed)[0] == "committed"


@pytest.mark.parametrize(("when", "finally_"), [("before", "committed"), ("after", "duplicate")])
def test_a_commit_that_is_never_answered_reserves_once(
    system: Deployed, faults: Faults, when: Any, finally_: str
) -> None:
    timeout = Fault.timeout(when, **RESERVE, times=3)  # as often as botocore tries

    placed = an_order_meets(system, faults, timeout)

    assert faults.brought(timeout) == 3
    assert system.says("reserve-stock", placed)[:2] == ["failed", finally_]


def test_conflicts_are_run_again_and_are_no_failures(system: Deployed, faults: Faults) -> None:
    conflict = Fault.conflict(function="reserve-stock", table="stock", times=3)

    placed = an_order_meets(system, faults, conflict)

    assert faults.brought(conflict) == 3
    line, *_ = system.log("reserve-stock", placed)
    assert (line["message"], line["conflicts"]) == ("committed", 3)


def test_a_call_that_is_forbidden_fails_the_delivery_which_comes_again(system: Deployed, faults: Faults) -> None:
    denied = Fault.denied(**RESERVE)

    placed = an_order_meets(system, faults, denied)

    assert faults.brought(denied) == 1
    assert system.says("reserve-stock", placed)[:2] == ["failed", "committed"]


def test_keys_that_were_not_processed_are_read_again(system: Deployed, faults: Faults) -> None:
    sku, other, order = unique("mug"), unique("poster"), unique("order")
    system.receives(goods(sku, 5), goods(other, 5))
    partial = Fault.partial(1, function="reserve-stock", operation="BatchGetItem")
    nothing = Fault.partial(0, function="reserve-stock", operation="BatchGetItem")

    with faults.bring(nothing, partial):
        system.receives(an_order(order, lines=[(sku, 2), (other, 2)]))

    assert (faults.brought(nothing), faults.brought(partial)) == (1, 1)
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == system.pieces(other) == (3, 2)


def test_events_that_the_bus_did_not_take_arrive_all_the_same(system: Deployed, faults: Faults) -> None:
    sku = unique("mug")
    orders = [unique("order") for _ in range(6)]
    system.receives(goods(sku, 6))
    slow = Fault.delay(1.0, "after", **PUBLISH)  # so that several events wait for the next call
    partial = Fault.partial(1, **PUBLISH, times=3)

    with faults.bring(slow, partial):
        system.receives(*(an_order(order, lines=[(sku, 1)]) for order in orders))

    assert faults.brought(slow) == 1
    assert faults.brought(partial) == 3
    assert system.pieces(sku) == (0, 6)


def test_events_arrive_although_the_bus_is_throttled_and_publish_dies(system: Deployed, faults: Faults) -> None:
    throttled = Fault.throttled(**PUBLISH, times=3)  # as often as botocore tries: the function sees it once
    death = Fault.death("after", **PUBLISH)

    an_order_meets(system, faults, throttled)
    an_order_meets(system, faults, death)

    assert faults.brought(throttled) == 3
    assert faults.brought(death) == 1


def test_of_ten_orders_in_one_batch_the_one_that_kills_its_process_is_dead_and_nine_are_done_once(
    system: Deployed, faults: Faults
) -> None:
    orders = [unique("order") for _ in range(10)]
    deadly, *others = orders
    death = Fault.death("before", function="place-order", operation="TransactWriteItems", mentions=deadly, times=ALWAYS)
    # What waits for the orders would lose patience meanwhile.
    with paused(system, "cancel-unstocked"), impatient(system, "place-order"), faults.bring(death):
        with paused(system, "place-order"):
            placed = dict(zip(orders, system.sends(*map(an_order, orders)), strict=True))
            until(lambda: in_queue(system, "place-order") == len(orders), what="all ten wait", seconds=60)
        entry = system.dead(placed[deadly], "place-order")
        until(lambda: all(system.row("orders", order, of="place-order") for order in others), what="nine are placed")
    system.settles(*(placed[order] for order in others))

    assert entry.details["error"] == "ProcessDied"
    assert faults.brought(death) == 1 + entry.details["crashes"]  # in company first, and then alone
    assert system.row("orders", deadly, of="place-order") == {}
    for order in others:
        done = system.connection.ledger.find(placed[order], "place-order")
        assert done
        # Placed once, and then cancelled, since there are no such goods.
        assert (done.state, system.row("orders", order, of="place-order")["version"]) == (COMMITTED, 2)


def test_faults_strike_only_where_and_while_they_are_brought(system: Deployed, faults: Faults) -> None:
    elsewhere = Fault.death("before", function="reserve-stock", operation="TransactWriteItems", table="orders")
    of_another = Fault.death("before", **RESERVE, mentions=unique("order"))
    over = Fault.death("before", **RESERVE)
    with faults.bring(over):
        pass

    an_order_meets(system, faults, elsewhere, of_another)

    assert faults.brought(elsewhere) == faults.brought(of_another) == faults.brought(over) == 0


def test_nothing_of_this_is_deployed(system: Deployed) -> None:
    files = {file.name for file in (system.cloud.folder / "assembly").rglob("*.py")}

    assert {"reserve_stock.py", "consumer.py"} <= files
    assert not {"sitecustomize.py", "hooks.py"} & files


# --- the guards, and what happens without them ---------------------------------------------------------------------


def test_only_the_ledgers_condition_keeps_a_doubled_delivery_from_counting_twice(
    system: Deployed, faults: Faults
) -> None:
    sku = unique("mug")
    (received,) = system.sends(goods(sku, 5))
    system.settles(received)

    heard_again(system, f"stock/{sku}", "receive-stock")
    assert_shelf(system, sku, (5, 0))

    with faults.bring(Fault.unguarded(table="ledger", function="receive-stock")):
        heard_again(system, f"stock/{sku}", "receive-stock")
    with pytest.raises(AssertionError):
        assert_shelf(system, sku, (5, 0))


@pytest.mark.parametrize("guarded", [True, False])
def test_only_the_guard_of_a_change_keeps_two_orders_from_taking_the_last_piece(
    system: Deployed, faults: Faults, guarded: bool
) -> None:
    sku = unique("mug")
    system.receives(goods(sku, 1))
    slow = Fault.delay(2.0, **RESERVE)
    without = [] if guarded else [Fault.unguarded(table="stock", function="reserve-stock")]

    with faults.bring(slow, *without):
        (first,) = system.sends(an_order(lines=[(sku, 1)]))
        until(lambda: faults.brought(slow), what="the first order has seen the last piece")
        (second,) = system.sends(an_order(lines=[(sku, 1)]))
        system.settles(first, second)

    if guarded:
        assert_shelf(system, sku, (0, 1))
    else:
        with pytest.raises(AssertionError):
            assert_shelf(system, sku, (0, 1))


def test_only_the_condition_of_an_append_keeps_a_second_opening_from_overwriting(
    system: Deployed, faults: Faults
) -> None:
    order = unique("order")
    (first,) = system.sends(an_order(order))
    system.settles(first)

    (second,) = system.sends(an_order(order))
    system.refusals(second)
    assert_first(system, order, first)

    unguarded = Fault.unguarded(table="store", function="admit")
    with faults.bring(unguarded):
        (third,) = system.sends(an_order(order))
        until(lambda: system.says("admit", third), what="the third is admitted")
    with pytest.raises(AssertionError):
        assert_first(system, order, first)


def assert_shelf(system: Deployed, sku: str, expected: tuple[int, int]) -> None:
    assert system.pieces(sku) == expected


def assert_first(system: Deployed, order: str, event_id: str) -> None:
    assert system.journey(f"order/{order}").steps[0].event.metadata.id == event_id


def an_order_meets(system: Deployed, faults: Faults, *several: Fault) -> str:
    """Place an order for 2 of 5 pieces while the faults strike; it is reserved once. The id of its OrderPlaced."""
    sku, order = unique("mug"), unique("order")
    system.receives(goods(sku, 5))
    with impatient(system, "reserve-stock"), faults.bring(*several):
        (placed,) = system.sends(an_order(order, lines=[(sku, 2)]))
        system.settles(placed)
    assert system.types(f"order/{order}") == CONFIRMED
    assert_shelf(system, sku, (3, 2))
    return placed


def heard_again(system: Deployed, stream: str, consumer: str) -> None:
    """Put the first event of a stream on the event bus once more, and wait until the consumer is done with it."""
    event = next(system.connection.store.stream(stream))
    earlier = len(system.says(consumer, event.metadata.id))
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
    until(lambda: len(system.says(consumer, event.metadata.id)) > earlier, what=f"{consumer} has heard it again")

"""The register of consumers: all that ever subscribed, with their types of events."""

from datetime import UTC, datetime, timedelta

import time_machine

from daybook.contracts import clock
from daybook.store.register import Register, Registration
from daybook.testing.world import NAMES, World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def updated(register: Register, minute: int, **subscribed: list[str]) -> dict[str, Registration]:
    """The register after control-consumers has seen these subscriptions, some minutes after noon."""
    with time_machine.travel(NOON + timedelta(minutes=minute), tick=False):
        register.update({name.replace("_", "-"): types for name, types in subscribed.items()})
    return register.read()


def at(minute: int) -> str:
    return clock.timestamp(NOON + timedelta(minutes=minute))


# Guards: a consumer without a rule is kept, with the time since which it has none.
def test_a_consumer_that_is_removed_and_deployed_again_stays_registered(world: World) -> None:
    register = Register(world.client, NAMES.ledger)

    updated(register, 0, reserve_stock=["OrderPlaced"], place_order=["OrderPlaced"])
    gone = updated(register, 1, place_order=["OrderPlaced"])
    later = updated(register, 2, place_order=["OrderPlaced"])
    again = updated(register, 3, reserve_stock=["OrderPlaced"], place_order=["OrderPlaced"])

    assert gone == later
    assert gone["reserve-stock"] == Registration(types=("OrderPlaced",), since=at(0), until=at(1))
    assert again["reserve-stock"] == Registration(types=("OrderPlaced",), since=at(0))
    assert again["place-order"] == Registration(types=("OrderPlaced",), since=at(0))


# Guards: types are added, and never replaced.
def test_a_consumer_keeps_the_types_of_events_that_it_once_subscribed_to(world: World) -> None:
    register = Register(world.client, NAMES.ledger)

    updated(register, 0, reserve_stock=["OrderPlaced"])
    changed = updated(register, 1, reserve_stock=["OrderChanged"])

    assert changed["reserve-stock"].types == ("OrderChanged", "OrderPlaced")


# Guards: the condition on the version.
def test_of_two_updates_at_the_same_time_the_first_counts_and_no_consumer_is_lost(world: World) -> None:
    first, second = Register(world.client, NAMES.ledger), Register(world.client, NAMES.ledger)
    old = second._read()  # noqa: SLF001 - another process has read the row

    updated(first, 0, reserve_stock=["OrderPlaced"])
    second._write({"place-order": Registration(types=(), since=at(0))}, old[1])  # noqa: SLF001 - and writes it later

    assert first.read().keys() == {"reserve-stock"}
    assert updated(second, 1, reserve_stock=["OrderPlaced"], place_order=[]).keys() == {"reserve-stock", "place-order"}

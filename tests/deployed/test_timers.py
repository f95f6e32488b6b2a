"""Timers in the deployed system: the time to pay for an order, scheduled by one function and handled by another."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.contracts.envelope import Metadata
from daybook.local.faults import Fault, Faults
from daybook.operate.registered import KnownConsumers
from events.orders import PaymentWindowEnded
from tests.deployed.deployed import Deployed, an_order, short_visibility_timeout
from tests.local.processes import unique, until

SCHEDULED_BY, HANDLED_BY = "place-order", "cancel-expired"


def test_a_timer_fires_at_its_time_once_and_its_event_is_processed(system: Deployed) -> None:
    soon, later = unique("soon"), unique("later")
    system.receives(an_order(soon, pay_within=1), an_order(later))

    until(lambda: fire_timers(system) and fired(system, soon), what="the timer has fired")
    fire_timers(system)
    system.finishes()

    assert len(fired(system, soon)) == 1
    assert fired(system, later) == []
    placed, *_ = (envelope.metadata for envelope in system.connection.store.stream(f"order/{soon}"))
    (ended,) = fired(system, soon)
    assert (ended.correlation_id, ended.causation_id) == (placed.id, placed.id)
    assert HANDLED_BY in {entry.consumer for entry in KnownConsumers.of(system.connection).rows(ended.id)}


def test_a_timer_does_not_fire_before_its_time(system: Deployed) -> None:
    order = unique("later")
    system.receives(an_order(order, pay_within=3_600))

    (timer,) = (item for item in system.items(system.connection.names.due) if item.get("stream") == f"order/{order}")
    fire_timers(system)

    assert fired(system, order) == []
    due = datetime.fromisoformat(timer["time"])
    assert timedelta(minutes=55) < due - datetime.now(UTC) <= timedelta(minutes=60)


def test_a_run_of_fire_timers_that_is_killed_after_its_transaction_has_fired_once(
    system: Deployed, faults: Faults
) -> None:
    order = unique("soon")
    death = Fault.death("after", function="fire-timers", operation="TransactWriteItems", mentions=order)
    with faults.inject(death):
        system.receives(an_order(order, pay_within=1))
        until(lambda: run_fire_timers(system) and faults.injected_count(death), what="fire-timers is killed")
    assert faults.injected_count(death) == 1
    fire_timers(system)
    system.finishes()

    assert len(fired(system, order)) == 1
    assert scheduled(system, order) == 0


@pytest.mark.parametrize(("when", "number"), [("before", 0), ("after", 1)])
def test_a_function_that_is_killed_at_its_commit_schedules_the_timer_only_if_the_commit_succeeded(
    system: Deployed, faults: Faults, when: Any, number: int
) -> None:
    order = unique("later")
    death = Fault.death(when, function=SCHEDULED_BY, operation="TransactWriteItems", mentions=order)

    with (
        short_visibility_timeout(system, SCHEDULED_BY, until_true=lambda: faults.injected_count(death)),
        faults.inject(death),
    ):
        (placed,) = system.sends(an_order(order))
        until(lambda: faults.injected_count(death), what="the function is killed")
        until(lambda: scheduled(system, order) == number, what="the timer of the commit is scheduled, and no other")
        system.finishes(placed)

    assert scheduled(system, order) == 1
    first, *_ = system.logged(SCHEDULED_BY, placed)
    assert first["message"] == ("duplicate" if when == "after" else "committed")


def fire_timers(system: Deployed) -> bool:
    """Run fire-timers now, which otherwise runs each minute."""
    answer = system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("fire-timers"))
    assert "FunctionError" not in answer, answer["Payload"].read()
    return True


def run_fire_timers(system: Deployed) -> bool:
    """The same, but the run may fail."""
    system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("fire-timers"))
    return True


def scheduled(system: Deployed, order: str) -> int:
    """The number of timers of the order that wait."""
    return sum(item.get("stream") == f"order/{order}" for item in system.items(system.connection.names.due))


def fired(system: Deployed, order: str) -> list[Metadata]:
    """The events of timers in the order's stream."""
    stream = system.connection.store.stream(f"order/{order}")
    return [envelope.metadata for envelope in stream if envelope.metadata.type == PaymentWindowEnded.__name__]

"""Timers in the deployed system: the time to pay for an order, armed with it, fired by sweep, heard by another."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.contracts.envelope import Metadata
from daybook.local.faults import Fault, Faults
from events.orders import PaymentWindowEnded
from tests.deployed.deployed import Deployed, an_order, short_visibility_timeout, unique
from tests.local.processes import until

ARMED_BY, HEARD_BY = "place-order", "cancel-expired"


def test_a_timer_fires_at_its_time_once_and_its_event_is_heard(system: Deployed) -> None:
    hasty, patient = unique("hasty"), unique("patient")
    system.receives(an_order(hasty, pay_within=1), an_order(patient))

    until(lambda: sweeps(system) and fired(system, hasty), what="the timer has fired")
    sweeps(system)
    system.finishes()

    assert len(fired(system, hasty)) == 1
    assert fired(system, patient) == []
    placed, *_ = (envelope.metadata for envelope in system.connection.store.stream(f"order/{hasty}"))
    (ended,) = fired(system, hasty)
    assert (ended.correlation_id, ended.causation_id) == (placed.id, placed.id)
    assert HEARD_BY in {entry.consumer for entry in system.connection.ledger.of_event(ended.id)}


def test_a_timer_fires_when_its_time_has_come_and_not_before(system: Deployed) -> None:
    order = unique("later")
    system.receives(an_order(order, pay_within=3_600))

    (timer,) = (item for item in system.items(system.connection.names.due) if item.get("stream") == f"order/{order}")
    sweeps(system)

    assert fired(system, order) == []
    due = datetime.fromisoformat(timer["time"])
    assert timedelta(minutes=55) < due - datetime.now(UTC) <= timedelta(minutes=60)


def test_a_sweep_that_is_killed_after_its_transaction_has_fired_once(system: Deployed, faults: Faults) -> None:
    order = unique("hasty")
    death = Fault.death("after", function="fire-timers", operation="TransactWriteItems", mentions=order)
    with faults.inject(death):
        system.receives(an_order(order, pay_within=1))
        until(lambda: is_swept(system) and faults.injected_count(death), what="a sweep is killed")
    assert faults.injected_count(death) == 1
    sweeps(system)
    system.finishes()

    assert len(fired(system, order)) == 1
    assert armed(system, order) == 0


@pytest.mark.parametrize(("when", "number"), [("before", 0), ("after", 1)])
def test_a_function_that_is_killed_at_its_commit_has_armed_with_its_work_or_not_at_all(
    system: Deployed, faults: Faults, when: Any, number: int
) -> None:
    order = unique("patient")
    death = Fault.death(when, function=ARMED_BY, operation="TransactWriteItems", mentions=order)

    with (
        short_visibility_timeout(system, ARMED_BY, until_true=lambda: faults.injected_count(death)),
        faults.inject(death),
    ):
        (placed,) = system.sends(an_order(order))
        until(lambda: faults.injected_count(death), what="the function is killed")
        until(lambda: armed(system, order) == number, what="what it had committed is armed, and no more")
        system.finishes(placed)

    assert armed(system, order) == 1
    first, *_ = system.logged(ARMED_BY, placed)
    assert first["message"] == ("duplicate" if when == "after" else "committed")


def sweeps(system: Deployed) -> bool:
    """Let the sweep run now; its schedule would do so within the minute."""
    answer = system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("fire-timers"))
    assert "FunctionError" not in answer, answer["Payload"].read()
    return True


def is_swept(system: Deployed) -> bool:
    """Let the sweep run now, whatever becomes of it."""
    system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("fire-timers"))
    return True


def armed(system: Deployed, order: str) -> int:
    """How many timers of the order wait."""
    return sum(item.get("stream") == f"order/{order}" for item in system.items(system.connection.names.due))


def fired(system: Deployed, order: str) -> list[Metadata]:
    """What timers have recorded of the order."""
    stream = system.connection.store.stream(f"order/{order}")
    return [envelope.metadata for envelope in stream if envelope.metadata.type == PaymentWindowEnded.__name__]

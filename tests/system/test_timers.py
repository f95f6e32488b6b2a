"""A timer in the deployed system: armed by one function, fired by the sweep at its time, heard by another."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local.faults import Fault, Faults
from local.progress import Progress
from local.system import STAGE, up
from ops.connection import Connection
from tests.local.left_behind import until
from tests.stacks.synthesis import ROOT, copy_of_sources
from tests.system.deployed import Deployed, an_order, impatient, unique

ONCE = ["OrderPlaced", "OrderOverdue"]

CONTRACT = '''

class OrderOverdue(Event, continues="order/{order_id}", timer=True):
    """Nothing has come of an order for too long."""

    order_id: OrderId

    example = {"order_id": "1001"}
'''

ARMS = '''"""Set a timer for a placed order: for this very moment, or for a day on which nobody waits."""

from datetime import timedelta

from backbone.consumer import reaction
from backbone.work import Work
from events.orders import OrderOverdue, OrderPlaced


@reaction(OrderPlaced, emits=(OrderOverdue,))
def handler(order: OrderPlaced, work: Work) -> None:
    later = timedelta(days=1) if order.order_id.startswith("patient") else timedelta()
    work.arm(OrderOverdue(order_id=order.order_id), work.now + later)
'''

HEARS = '''"""Hear that an order is overdue."""

from backbone.consumer import reaction
from backbone.work import Work
from events.orders import OrderOverdue


@reaction(OrderOverdue)
def handler(_: OrderOverdue, __: Work) -> None:
    pass
'''


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    return Faults(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, faults: Faults) -> Iterator[Deployed]:
    """The system with two functions more: one arms a timer for each order, and one hears it."""
    project = copy_of_sources(tmp_path_factory.mktemp("timers") / "project")
    (project / ".venv").symlink_to(ROOT / ".venv")
    append(project / "events" / "orders.py", CONTRACT)
    (project / "functions" / "orders" / "arm_overdue.py").write_text(ARMS)
    (project / "functions" / "orders" / "hear_overdue.py").write_text(HEARS)
    stack = project / "stacks" / "orders.py"
    stack.write_text(stack.read_text().replace("import OrderPlaced", "import OrderOverdue, OrderPlaced"))
    append(stack, '        self.reaction("arm_overdue", OrderPlaced)\n')
    append(stack, '        self.reaction("hear_overdue", OrderOverdue)\n')

    with up(Progress(Console(file=io.StringIO())), project=project, iam=True, extra=faults.environment) as cloud:
        yield Deployed(cloud, Connection(STAGE, cloud.session(), endpoint=cloud.endpoint))


def test_a_timer_fires_at_its_time_once_and_its_event_is_heard(system: Deployed) -> None:
    hasty, patient = unique("hasty"), unique("patient")
    system.receives(an_order(hasty), an_order(patient))

    sweeps(system)
    until(lambda: "OrderOverdue" in types(system, hasty), what="the timer has fired", seconds=60)
    sweeps(system)
    system.settles()

    assert types(system, hasty) == ONCE
    assert types(system, patient) == ["OrderPlaced"]
    placed, fired = (envelope.metadata for envelope in system.connection.store.stream(f"order/{hasty}"))
    assert (fired.correlation_id, fired.causation_id) == (placed.id, placed.id)
    until(lambda: handled(system, fired.id), what="the event is heard", seconds=60)


def test_a_sweep_that_is_killed_after_its_transaction_has_fired_once(system: Deployed, faults: Faults) -> None:
    order = unique("hasty")
    death = Fault.death("after", function="sweep", operation="TransactWriteItems", mentions=order)
    with faults.bring(death):
        system.receives(an_order(order))
        until(lambda: sweep_fails(system) or faults.brought(death), what="a sweep is killed", seconds=60)
    assert faults.brought(death) == 1
    sweeps(system)
    system.settles()

    assert types(system, order) == ONCE
    assert armed(system, order) == 0


@pytest.mark.parametrize(("when", "number"), [("before", 0), ("after", 1)])
def test_a_function_that_is_killed_at_its_commit_has_armed_with_its_work_or_not_at_all(
    system: Deployed, faults: Faults, when: Any, number: int
) -> None:
    order = unique("patient")
    death = Fault.death(when, function="arm-overdue", operation="TransactWriteItems", mentions=order)

    with impatient(system, "arm-overdue"), faults.bring(death):
        (placed,) = system.sends(an_order(order))
        until(lambda: faults.brought(death), what="the function is killed", seconds=60)
        until(lambda: armed(system, order) == number, what="what it had committed is armed, and no more")
        system.settles(placed)

    assert armed(system, order) == 1
    assert system.says("arm-overdue", placed)[0] == ("duplicate" if when == "after" else "committed")


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text().rstrip("\n") + "\n" + text)


def sweeps(system: Deployed) -> None:
    """Let the sweep run now; its schedule would do so within the minute."""
    answer = system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("sweep"))
    assert "FunctionError" not in answer, answer["Payload"].read()


def sweep_fails(system: Deployed) -> bool:
    """Let the sweep run now, whatever becomes of it; whether it ended badly."""
    answer = system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("sweep"))
    return "FunctionError" in answer


def armed(system: Deployed, order: str) -> int:
    """How many timers of the order wait."""
    return sum(item.get("stream") == f"order/{order}" for item in system.items(system.connection.names.due))


def types(system: Deployed, order: str) -> list[str]:
    return [envelope.metadata.type for envelope in system.connection.store.stream(f"order/{order}")]


def handled(system: Deployed, event_id: str) -> bool:
    return "hear-overdue" in {entry.consumer for entry in system.connection.ledger.of_event(event_id)}

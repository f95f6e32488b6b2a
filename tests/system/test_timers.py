"""A timer in the deployed system: armed by one function, fired by the sweep at its time, heard by another."""

import io
from pathlib import Path

from rich.console import Console

from local.progress import Progress
from local.system import STAGE, up
from ops.connection import Connection
from tests.local.left_behind import until
from tests.stacks.synthesis import ROOT, copy_of_sources
from tests.system.deployed import Deployed, an_order

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


def test_a_timer_fires_at_its_time_once_and_its_event_is_heard(tmp_path: Path) -> None:
    project = copy_of_sources(tmp_path / "project")
    (project / ".venv").symlink_to(ROOT / ".venv")
    append(project / "events" / "orders.py", CONTRACT)
    (project / "functions" / "orders" / "arm_overdue.py").write_text(ARMS)
    (project / "functions" / "orders" / "hear_overdue.py").write_text(HEARS)
    stack = project / "stacks" / "orders.py"
    stack.write_text(stack.read_text().replace("import OrderPlaced", "import OrderOverdue, OrderPlaced"))
    append(stack, '        self.reaction("arm_overdue", OrderPlaced)\n')
    append(stack, '        self.reaction("hear_overdue", OrderOverdue)\n')

    with up(Progress(Console(file=io.StringIO())), project=project, iam=True) as cloud:
        system = Deployed(cloud, Connection(STAGE, cloud.session(), endpoint=cloud.endpoint))
        system.receives(an_order("hasty-1"), an_order("patient-1"))

        sweeps(system)
        until(lambda: "OrderOverdue" in types(system, "hasty-1"), what="the timer has fired", seconds=60)
        sweeps(system)
        system.settles()

        assert types(system, "hasty-1") == ["OrderPlaced", "OrderOverdue"]
        assert types(system, "patient-1") == ["OrderPlaced"]
        overdue = system.connection.store.stream("order/hasty-1")
        placed, fired = (envelope.metadata for envelope in overdue)
        assert (fired.correlation_id, fired.causation_id) == (placed.id, placed.id)
        until(lambda: handled(system, fired.id), what="the event is heard", seconds=60)


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text().rstrip("\n") + "\n" + text)


def sweeps(system: Deployed) -> None:
    """Let the sweep run now; its schedule would do so within the minute."""
    answer = system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("sweep"))
    assert "FunctionError" not in answer, answer["Payload"].read()


def types(system: Deployed, order: str) -> list[str]:
    return [envelope.metadata.type for envelope in system.connection.store.stream(f"order/{order}")]


def handled(system: Deployed, event_id: str) -> bool:
    return "hear-overdue" in {entry.consumer for entry in system.connection.ledger.of_event(event_id)}

"""Negative controls: without one guard, the invariant that this guard protects must be violated.

Each guard has a scenario in which it is needed. Scenarios are deterministic: calls that must run at the same time wait
for each other, and later events are sent later. With all guards, all scenarios and some ordinary traffic cause no
violation. So a violation without a guard is caused by its absence, not by the scenario or the checker.
"""

from __future__ import annotations

import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from chaos.checker.invariants import INVARIANTS
from chaos.checker.messages import EMAILS
from chaos.checker.processing import IN_ORDER, PROCESSED, RECORDED_FIRST, STORED_ONCE
from chaos.checker.stock import STOCK
from chaos.deliveries import Deliveries
from chaos.system import SystemUnderTest, system_under_test
from chaos.traffic import Traffic
from daybook.consumers.ordered import as_delivered
from daybook.contracts.envelope import Pointer
from daybook.contracts.identity import admitted_id
from daybook.local.faults import ALWAYS, BARRIER_TIMEOUT, Fault, Guard, long_timeouts
from daybook.local.progress import Progress
from daybook.local.system import STAGE
from daybook.operate.connection import Connection
from daybook.store.ledger import TRYING
from events.catalogue import CATALOGUE

if TYPE_CHECKING:
    from chaos.checker.snapshot import Sent
    from chaos.checker.violation import Invariant, Violation

_SCALE = 20  # orders, readings and transactions
_FIRST = 100_000  # number of the first scenario's order; ordinary traffic has lower numbers
_TIMEOUT = 600.0  # seconds until a condition must hold, or the system must be idle
_COMMIT = "TransactWriteItems"


class ConditionNotMet(RuntimeError):
    """A scenario's condition was not met in time, so the scenario shows nothing."""


class ControlRun:
    """A system on which the scenarios run, one after another. Each scenario has its own orders and articles."""

    def __init__(self, system: SystemUnderTest, *, seed: int) -> None:
        self.system = system
        self.traffic = Traffic(seed, _SCALE)
        self.connection = Connection(STAGE, system.cloud.session(), endpoint=system.cloud.endpoint)
        self._seed = seed
        self._scenarios = 0

    def with_all_guards(self) -> tuple[Invariant, Violation] | None:
        """Ordinary traffic with duplicate and late deliveries, then all scenarios. Returns the first violation."""
        self.system.producer.send(self.traffic.initial_events())
        self.wait_until_idle()
        with Deliveries(self.system.cloud, seed=self._seed):
            self.system.producer.send(self.traffic.batch(0, _SCALE))
            self.wait_until_idle()
        for control in CONTROLS:
            with control.scenario(self, self._number()):
                pass
            self.wait_until_idle()
        violation = self._first_violation(INVARIANTS)
        if violation:  # a timer may have fired while the tables were read; a real violation is still there
            self.wait_until_idle()
            violation = self._first_violation(INVARIANTS)
        return violation

    def without(self, control: Control) -> tuple[Invariant, Violation] | None:
        """The control's scenario without its guard. Returns the first violation that is about this scenario, if any.

        The invariant that the guard protects is checked first.
        """
        with control.scenario(self, self._number(), control.fault) as subject:
            violation = self._first_violation([control.protects, *INVARIANTS], subject)
        self.wait_until_idle()
        return violation

    def _first_violation(
        self, invariants: Sequence[Invariant], subject: str = ""
    ) -> tuple[Invariant, Violation] | None:
        snapshot = self.system.snapshot()
        found = ((each, violation) for each in invariants for violation in each.violations(snapshot))
        return next(((each, violation) for each, violation in found if subject in violation.message), None)

    def _number(self) -> int:
        self._scenarios += 1
        return _FIRST + self._scenarios

    # --- steps of scenarios ---------------------------------------------------------------------------------------

    def send(self, *events: Sent) -> str:
        """Put events on the ingress bus. Returns the first event's id in Daybook."""
        self.system.producer.send(events)
        return admitted_id(self.connection.account, events[0].source, events[0].producer_id)

    def order(self, number: int, sku: str = "") -> Sent:
        """An order of five pieces of the article; by default of an article without stock."""
        line = {"sku": sku or f"no-article-{number}", "quantity": 5, "price": {"amount": 450, "currency": "EUR"}}
        return self.traffic.order(number, lines=[line], payment_method="pm_card_visa")

    def receive_stock(self, number: int) -> tuple[str, str]:
        """Receive five pieces of a new article. Returns its SKU and the event's id."""
        sku = f"article-{number}"
        event = self.send(*self.traffic.restocking([sku]))
        self.wait_until_processed(event, "receive-stock")
        return sku, event

    def wait_until_processed(self, event: str, consumer: str) -> None:
        """Wait until the event is committed or dead at the consumer."""
        self.until(lambda: self._has_ended(event, consumer), f"{consumer} has processed {event}")

    def wait_for_fault(self, fault: Fault) -> None:
        """Wait until the fault was injected once."""
        self.until(
            lambda: self.system.faults.injected_count(fault) > 0, f"the fault {fault.what} {fault.where} was injected"
        )

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition. Raises ConditionNotMet."""
        deadline = time.monotonic() + _TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                msg = f"not within {_TIMEOUT:.0f} s: {what}; {self.system.messages_in_flight()} messages are in flight"
                raise ConditionNotMet(msg)
            time.sleep(0.1)

    def wait_until_idle(self) -> None:
        """Wait until the system is idle."""
        self.system.wait_until_idle(seconds=_TIMEOUT)

    def _has_ended(self, event: str, consumer: str) -> bool:
        row = self.connection.ledger.find(event, consumer)
        return row is not None and row.state != TRYING


# --- scenarios ------------------------------------------------------------------------------------------------------

# A scenario yields a text that every violation caused by it mentions. Violations are there within its block.
Scenario = Callable[..., AbstractContextManager[str]]


@contextmanager
def _delivered_twice(run: ControlRun, number: int, *without: Fault) -> Iterator[str]:
    """Received stock is delivered again."""
    sku, _ = run.receive_stock(number)
    (event,) = run.connection.store.stream(f"stock/{sku}")
    sqs = run.system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=run.connection.names.of("receive-stock"))["QueueUrl"]
    with run.system.faults.inject(*without):
        sqs.send_message(QueueUrl=url, MessageBody=as_delivered(event))
        run.wait_until_idle()
        yield sku


@contextmanager
def _opened_twice(run: ControlRun, number: int, *without: Fault) -> Iterator[str]:
    """A second order has the number of the first."""
    first, second = run.traffic.order_twice(number)
    run.wait_until_processed(run.send(first), "admit")
    with run.system.faults.inject(*without):
        run.wait_until_processed(run.send(second), "admit")
        run.wait_until_idle()
        yield str(number)


@contextmanager
def _two_orders_at_once(run: ControlRun, number: int, *without: Fault) -> Iterator[str]:
    """Two orders want the last pieces. Both processes have read the stock before either writes."""
    sku, _ = run.receive_stock(number)
    both_have_read = Fault.barrier(
        BARRIER_TIMEOUT, function="reserve-stock", operation=_COMMIT, table="stock", mentions=sku, times=2
    )
    run.wait_until_idle()
    with long_timeouts(run.system.cloud, "reserve-stock"), run.system.faults.inject(both_have_read, *without):
        run.send(run.order(number, sku))
        run.wait_for_fault(both_have_read)  # the second order comes later, so that another process handles it
        run.send(run.order(2 * number, sku))
        run.wait_until_idle()
        yield sku


@contextmanager
def _failed_delivery(run: ControlRun, number: int, *without: Fault) -> Iterator[str]:
    """A delivery fails and must be redelivered."""
    order = run.order(number)
    denied = Fault.denied(function="order-status-placed", operation="UpdateItem", mentions=order.data["order_id"])
    with run.system.faults.inject(denied, *without):
        event = run.send(order)
        run.wait_for_fault(denied)
        run.wait_until_idle()
        yield event


@contextmanager
def _never_stored(run: ControlRun, number: int, *without: Fault) -> Iterator[str]:
    """Somebody sends a consumer a message about an order that nobody has recorded."""
    order = run.order(number)
    contract = CATALOGUE[order.type].contract
    pointer = Pointer(f"forged-{number}", order.type, contract.version, f"order/{order.data['order_id']}", 1, "forged")
    sqs = run.system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=run.connection.names.of("place-order"))["QueueUrl"]
    with run.system.faults.inject(*without):
        message = {"detail": {"metadata": asdict(pointer), "data": order.data}}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(message))
        if without:
            run.wait_until_processed(pointer.id, "place-order")
        run.wait_until_idle()
        yield pointer.id


@contextmanager
def _email_sent_but_not_recorded(run: ControlRun, number: int, *without: Fault) -> Iterator[str]:
    """A process dies after it has sent an e-mail and before it could record that."""
    order = run.order(number)
    name = order.data["order_id"]
    death = Fault.death("after", function="mail-cancelled", operation="SendEmail", mentions=name)
    with run.system.faults.inject(death, *without):
        run.send(order)
        run.wait_for_fault(death)
        run.wait_until_idle()
        yield name


@contextmanager
def _first_report_fails(run: ControlRun, number: int, *without: Fault) -> Iterator[str]:
    """The first report of a device always fails, and a second one arrives."""
    name = f"MON-{number}"
    registration, *reports = run.traffic.device(name, reports=2)
    run.wait_until_processed(run.send(registration), "admit")
    first = run.send(reports[0])
    denied = Fault.denied(function="raise-alarm", operation=_COMMIT, mentions=first, times=ALWAYS)
    # After the second report the first one changes nothing, so only its status is written.
    alone = Fault.denied(function="raise-alarm", operation="UpdateItem", mentions=[first, "REMOVE #r0"], times=ALWAYS)
    with run.system.faults.inject(denied, alone, *without):
        run.wait_until_processed(first, "admit")
        run.send(reports[1])
        run.wait_for_fault(denied)
        run.wait_until_idle()
        yield f"device/{name}"


@dataclass(frozen=True, slots=True)
class Control:
    """A guard, and the invariant that must be violated without it. `fault` removes the guard."""

    name: str
    protects: Invariant
    scenario: Scenario
    fault: Fault


CONTROLS = (
    Control(
        "the ledger's condition",
        STOCK,
        _delivered_twice,
        Fault.without_conditions(table="ledger", function="receive-stock"),
    ),
    Control(
        "the condition of an append",
        STORED_ONCE,
        _opened_twice,
        Fault.without_conditions(table="store", function="admit"),
    ),
    Control(
        "the condition of a change",
        STOCK,
        _two_orders_at_once,
        Fault.without_conditions(table="stock", function="reserve-stock"),
    ),
    Control(
        "the partial answer",
        PROCESSED,
        _failed_delivery,
        Fault.without_guard(Guard.PARTIAL_ANSWER, function="order-status-placed"),
    ),
    Control(
        "the check that an event is recorded",
        RECORDED_FIRST,
        _never_stored,
        Fault.without_guard(Guard.RECORDED, function="place-order"),
    ),
    Control(
        "the effect record",
        EMAILS,
        _email_sent_but_not_recorded,
        Fault.without_guard(Guard.EFFECT_RECORD, function="mail-cancelled"),
    ),
    Control(
        "the cursor of an ordered consumer",
        IN_ORDER,
        _first_report_fails,
        Fault.without_guard(Guard.CURSOR, function="raise-alarm"),
    ),
)


# --- verdicts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a control. `name` is the missing guard, `expected` the invariant that must be violated."""

    name: str
    expected: str
    found: str
    as_expected: bool

    def __str__(self) -> str:
        return f"{'as expected' if self.as_expected else 'NOT AS EXPECTED'}: without {self.name}: {self.found}"


@contextmanager
def control_run(*, seed: int) -> Iterator[ControlRun]:
    """Start a system for controls, for the length of the block."""
    silent = Progress(Console(file=io.StringIO()))
    with (
        tempfile.TemporaryDirectory(prefix="daybook-chaos-") as folder,
        system_under_test(silent, Path(folder), guards=True) as system,
    ):
        yield ControlRun(system, seed=seed)


def run_all(progress: Progress, *, seed: int) -> list[Verdict]:
    """Run all scenarios with all guards, then each without its guard."""
    with control_run(seed=seed) as run:
        with progress.step("control: all guards"):
            verdicts = [with_all_guards(run)]
        for control in CONTROLS:
            with progress.step(f"control: without {control.name}"):
                verdicts.append(without(run, control))
    return verdicts


def with_all_guards(run: ControlRun) -> Verdict:
    """The verdict with all guards. Run it first: later controls leave violations behind."""
    violation = run.with_all_guards()
    return Verdict("none", "no invariant", _description(violation), violation is None)


def without(run: ControlRun, control: Control) -> Verdict:
    """The verdict without the control's guard."""
    violation = run.without(control)
    found = _description(violation)
    if violation is None:
        found += f", although the missing guard was needed {run.system.faults.injected_count(control.fault)} times"
    return Verdict(
        control.name, control.protects.name, found, violation is not None and violation[0] is control.protects
    )


def _description(violation: tuple[Invariant, Violation] | None) -> str:
    return f"{violation[0].name}: {violation[1].message}" if violation else "no violation"

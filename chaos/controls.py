"""Negative controls: without one guard, the invariant that this guard protects must break.

Each guard has a scene, which brings about what the guard is there for. Nothing in a scene is left to chance: calls that
must meet wait for each other, and what must come later is sent later. With all its guards the system goes through all
scenes and some ordinary traffic without a breach: so it is the guard, and neither the scene nor the checker.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from chaos.checker.bookkeeping import ACCOUNTED, IN_ORDER, RECORDED_FIRST, STORED_ONCE
from chaos.checker.letters import LETTERS
from chaos.checker.promises import ALL
from chaos.checker.stock import STOCK
from chaos.deliveries import Deliveries
from chaos.running import Running, running
from chaos.traffic import Traffic
from daybook.consumers.ordered import as_delivered
from daybook.contracts.identity import admitted_id
from daybook.local.faults import ALWAYS, MEETING, Fault, Guard, unhurried
from daybook.local.progress import Progress
from daybook.local.system import STAGE
from daybook.operate.connection import Connection
from daybook.store.ledger import TRYING

if TYPE_CHECKING:
    from chaos.checker.breach import Breach, Invariant
    from chaos.checker.world import Sent

_SCALE = 20  # orders, readings and transactions
_FIRST = 100_000  # number of the first scene's order: those of the ordinary traffic are below
_PATIENCE = 600.0  # seconds until a condition must hold, or all must be at rest
_COMMIT = "TransactWriteItems"


class NeverHappened(RuntimeError):
    """What a scene waits for did not happen in time: it can show nothing."""


class SmallDay:
    """A system of its own on which the scenes are played, one after another. Each has its own orders and articles."""

    def __init__(self, system: Running, *, seed: int) -> None:
        self.system = system
        self.traffic = Traffic(seed, _SCALE)
        self.connection = Connection(STAGE, system.cloud.session(), endpoint=system.cloud.endpoint)
        self._seed = seed
        self._scenes = 0

    def with_all_guards(self) -> tuple[Invariant, Breach] | None:
        """Ordinary traffic, of which all is delivered twice and late, and all scenes. The first breach, if any."""
        self.system.producer.send(self.traffic.morning())
        self.rest()
        with Deliveries(self.system.cloud, seed=self._seed):
            self.system.producer.send(self.traffic.lot(0, _SCALE))
            self.rest()
        for control in CONTROLS:
            with control.scene(self, self._number()):
                pass
            self.rest()
        breach = self._breach(ALL)
        if breach:  # a timer may have gone off while all was read, table by table; what is broken stays so
            self.rest()
            breach = self._breach(ALL)
        return breach

    def without(self, control: Control) -> tuple[Invariant, Breach] | None:
        """The control's scene without its guard. The first breach that is about this scene, if there is one.

        The invariant that the guard protects is looked at first.
        """
        with control.scene(self, self._number(), control.lifted) as subject:
            breach = self._breach([control.protects, *ALL], subject)
        self.rest()
        return breach

    def _breach(self, invariants: Sequence[Invariant], subject: str = "") -> tuple[Invariant, Breach] | None:
        world = self.system.look()
        found = ((each, breach) for each in invariants for breach in each.breaches(world))
        return next(((each, breach) for each, breach in found if subject in breach.what), None)

    def _number(self) -> int:
        self._scenes += 1
        return _FIRST + self._scenes

    # --- what scenes are made of ----------------------------------------------------------------------------------

    def send(self, *events: Sent) -> str:
        """Put events on the ingress bus. Returns the id that the first has in Daybook."""
        self.system.producer.send(events)
        return admitted_id(self.connection.account, events[0].source, events[0].producer_id)

    def order(self, number: int, sku: str = "") -> Sent:
        """An order of five pieces of the article; of an article that nobody has, unless given."""
        line = {"sku": sku or f"no-article-{number}", "quantity": 5, "price": {"amount": 450, "currency": "EUR"}}
        return self.traffic.order(number, lines=[line], payment_method="pm_card_visa")

    def stocked(self, number: int) -> tuple[str, str]:
        """Five pieces of an article that only this scene knows, and the id of the event by which they have come."""
        sku = f"article-{number}"
        event = self.send(*self.traffic.restocking([sku]))
        self.done(event, "receive-stock")
        return sku, event

    def done(self, event: str, consumer: str) -> None:
        """Wait until the consumer has committed the event, or it is dead there."""
        self.until(lambda: self._has_ended(event, consumer), f"{consumer} is done with {event}")

    def struck(self, fault: Fault) -> None:
        """Wait until the fault has struck once."""
        self.until(lambda: self.system.faults.brought(fault) > 0, f"the fault {fault.what} {fault.where} has struck")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition. Raises NeverHappened."""
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                msg = f"not within {_PATIENCE:.0f} s: {what}; {self.system.under_way()} messages are under way"
                raise NeverHappened(msg)
            time.sleep(0.1)

    def rest(self) -> None:
        """Wait until nothing is under way."""
        self.system.rest(seconds=_PATIENCE)

    def _has_ended(self, event: str, consumer: str) -> bool:
        row = self.connection.ledger.find(event, consumer)
        return row is not None and row.state != TRYING


# --- the scenes -----------------------------------------------------------------------------------------------------

# A scene gives a text that every breach which it can cause has in its sentence. In its block, the breach is there.
Scene = Callable[..., AbstractContextManager[str]]


@contextmanager
def _delivered_twice(day: SmallDay, number: int, *without: Fault) -> Iterator[str]:
    """Goods that have come in are delivered again."""
    sku, _ = day.stocked(number)
    (event,) = day.connection.store.stream(f"stock/{sku}")
    sqs = day.system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=day.connection.names.of("receive-stock"))["QueueUrl"]
    with day.system.faults.bring(*without):
        sqs.send_message(QueueUrl=url, MessageBody=as_delivered(event))
        day.rest()
        yield sku


@contextmanager
def _opened_twice(day: SmallDay, number: int, *without: Fault) -> Iterator[str]:
    """A second order comes under the number of the first."""
    first, second = day.traffic.order_twice(number)
    day.done(day.send(first), "admit")
    with day.system.faults.bring(*without):
        day.done(day.send(second), "admit")
        day.rest()
        yield str(number)


@contextmanager
def _taken_at_once(day: SmallDay, number: int, *without: Fault) -> Iterator[str]:
    """Two orders want the last pieces. Both processes have seen them before either takes them."""
    sku, _ = day.stocked(number)
    meeting = Fault.meeting(MEETING, function="reserve-stock", operation=_COMMIT, table="stock", mentions=sku, times=2)
    day.rest()
    with unhurried(day.system.cloud, "reserve-stock"), day.system.faults.bring(meeting, *without):
        day.send(day.order(number, sku))
        day.struck(meeting)  # only now the other, so that not one process has both
        day.send(day.order(2 * number, sku))
        day.rest()
        yield sku


@contextmanager
def _failed(day: SmallDay, number: int, *without: Fault) -> Iterator[str]:
    """A delivery fails, and must come again."""
    order = day.order(number)
    denied = Fault.denied(function="order-status-placed", operation=_COMMIT, mentions=order.data["order_id"])
    with day.system.faults.bring(denied, *without):
        event = day.send(order)
        day.struck(denied)
        day.rest()
        yield event


@contextmanager
def _never_stored(day: SmallDay, number: int, *without: Fault) -> Iterator[str]:
    """An event cannot be stored."""
    order = day.order(number)
    denied = Fault.denied(function="admit", operation=_COMMIT, mentions=order.data["order_id"], times=ALWAYS)
    with day.system.faults.bring(denied, *without):
        event = day.send(order)
        day.struck(denied)
        if without:
            day.done(event, "place-order")
        yield event


@contextmanager
def _sent_and_not_noted(day: SmallDay, number: int, *without: Fault) -> Iterator[str]:
    """A process dies after it has sent an e-mail, and before it could record that."""
    order = day.order(number)
    name = order.data["order_id"]
    death = Fault.death("after", function="mail-cancelled", operation="SendEmail", mentions=name)
    with day.system.faults.bring(death, *without):
        day.send(order)
        day.struck(death)
        day.rest()
        yield name


@contextmanager
def _never_handled(day: SmallDay, number: int, *without: Fault) -> Iterator[str]:
    """The first report of a device can never be handled, and a second one comes."""
    name = f"MON-{number}"
    registration, *reports = day.traffic.device(name, reports=2)
    day.done(day.send(registration), "admit")
    first = day.send(reports[0])
    denied = Fault.denied(function="raise-alarm", operation=_COMMIT, mentions=first, times=ALWAYS)
    with day.system.faults.bring(denied, *without):
        day.done(first, "admit")
        day.send(reports[1])
        day.struck(denied)
        day.rest()
        yield f"device/{name}"


@dataclass(frozen=True, slots=True)
class Control:
    """A guard, and the invariant that must break without it. `lifted` is the fault that removes the guard."""

    name: str
    protects: Invariant
    scene: Scene
    lifted: Fault


CONTROLS = (
    Control(
        "the ledger's condition", STOCK, _delivered_twice, Fault.unguarded(table="ledger", function="receive-stock")
    ),
    Control("the condition of an append", STORED_ONCE, _opened_twice, Fault.unguarded(table="store", function="admit")),
    Control("the guard of a change", STOCK, _taken_at_once, Fault.unguarded(table="stock", function="reserve-stock")),
    Control(
        "the partial answer", ACCOUNTED, _failed, Fault.without(Guard.PARTIAL_ANSWER, function="order-status-placed")
    ),
    Control("store before bus", RECORDED_FIRST, _never_stored, Fault.without(Guard.STORE_FIRST, function="admit")),
    Control(
        "the attempt before an effect",
        LETTERS,
        _sent_and_not_noted,
        Fault.without(Guard.ATTEMPT, function="mail-cancelled"),
    ),
    Control(
        "the cursor of an ordered consumer",
        IN_ORDER,
        _never_handled,
        Fault.without(Guard.CURSOR, function="raise-alarm"),
    ),
)


# --- the verdicts ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a small day has shown. `name` is the guard that was missing, `expected` the invariant that must break."""

    name: str
    expected: str
    found: str
    as_it_should_be: bool

    def __str__(self) -> str:
        return f"{'as it should be' if self.as_it_should_be else 'WRONG'}: without {self.name}: {self.found}"


@contextmanager
def small_day(*, seed: int) -> Iterator[SmallDay]:
    """Bring up a system for small days, for the length of the block."""
    quietly = Progress(Console(file=io.StringIO()))
    with (
        tempfile.TemporaryDirectory(prefix="daybook-proof-") as folder,
        running(quietly, Path(folder), guards=True) as system,
    ):
        yield SmallDay(system, seed=seed)


def all_of_them(progress: Progress, *, seed: int) -> list[Verdict]:
    """A small day with all guards, and then each scene without its guard."""
    with small_day(seed=seed) as day:
        with progress.step("a small day with all guards"):
            verdicts = [with_all_guards(day)]
        for control in CONTROLS:
            with progress.step(f"a small day without {control.name}"):
                verdicts.append(without(day, control))
    return verdicts


def with_all_guards(day: SmallDay) -> Verdict:
    """Judge a day with all guards. Before those without: what they break stays broken."""
    breach = day.with_all_guards()
    return Verdict("none (all guards are there)", "no promise", _sentence(breach), breach is None)


def without(day: SmallDay, control: Control) -> Verdict:
    """Judge the control's scene without its guard."""
    breach = day.without(control)
    found = _sentence(breach)
    if breach is None:
        found += f", and the guard was missing {day.system.faults.brought(control.lifted)} times where it was needed"
    return Verdict(control.name, control.protects.name, found, breach is not None and breach[0] is control.protects)


def _sentence(breach: tuple[Invariant, Breach] | None) -> str:
    return f"{breach[0].name}: {breach[1].what}" if breach else "nothing is broken"

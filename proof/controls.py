"""Negative controls: a small day without one guard must break the promise that this guard keeps.

The same small day with all its guards breaks nothing: so it is the guard, and neither the day nor the checker.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from local.faults import ALWAYS, Fault, Guard
from local.progress import Progress
from proof.checker.bookkeeping import ACCOUNTED, IN_ORDER, RECORDED_FIRST, STORED_ONCE
from proof.checker.letters import LETTERS
from proof.checker.promises import ALL
from proof.checker.stock import STOCK
from proof.deliveries import Deliveries
from proof.running import Running, running
from proof.traffic import SCARCE, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.faults.fault import Where
    from proof.checker.breach import Breach, Invariant
    from proof.checker.world import Sent

_SCALE = 20  # orders, readings and transactions
_RUSH = 24  # orders for one piece each of one article, of which there are fewer
_REST = 180.0  # seconds
_MEETING = 7.0  # seconds: the second process may have to start first; a function has 10
# The second report of one device, as DynamoDB is told of its place: the first event of the stream is its registration.
_UNLUCKY = ("device/MON-0", '{"N": "3"}')
_COMMIT = "TransactWriteItems"
_TAKING: Where = {"function": "reserve-stock", "operation": _COMMIT, "table": "stock", "times": 2}


@dataclass(frozen=True, slots=True)
class Control:
    """A guard that is taken away, and the promise that must then be broken. `lifted` are conditions, as faults."""

    name: str
    protects: Invariant
    without: tuple[Guard, ...] = ()
    lifted: tuple[Fault, ...] = ()


CONTROLS = (
    Control("the ledger's condition", STOCK, lifted=(Fault.unguarded(table="ledger"),)),
    Control("the condition of an append", STORED_ONCE, lifted=(Fault.unguarded(table="store"),)),
    Control("the guard of a change", STOCK, lifted=(Fault.unguarded(table="stock", function="reserve-stock"),)),
    Control("the partial answer", ACCOUNTED, without=(Guard.PARTIAL_ANSWER,)),
    Control("store before bus", RECORDED_FIRST, without=(Guard.STORE_FIRST,)),
    Control("the attempt before an effect", LETTERS, without=(Guard.ATTEMPT,)),
    Control("the cursor of an ordered consumer", IN_ORDER, without=(Guard.CURSOR,)),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a small day has shown. `name` is the guard that it went without, `expected` the promise that must break."""

    name: str
    expected: str
    found: str
    as_it_should_be: bool

    def __str__(self) -> str:
        return f"{'as it should be' if self.as_it_should_be else 'WRONG'}: without {self.name}: {self.found}"


def all_of_them(progress: Progress, *, seed: int) -> list[Verdict]:
    """A small day with all guards, and one without each."""
    return [judged(progress, control, seed=seed) for control in (None, *CONTROLS)]


def judged(progress: Progress, control: Control | None, *, seed: int) -> Verdict:
    """Live through a small day without the guard of the control, if there is one, and judge what it has broken."""
    with progress.step(f"a small day {f'without {control.name}' if control else 'with all guards'}"):
        breach = found(control, seed=seed)
    what = f"{breach[0].name}: {breach[1].what}" if breach else "nothing is broken"
    if control is None:
        return Verdict("none (all guards are there)", "no promise", what, breach is None)
    return Verdict(control.name, control.protects.name, what, breach is not None and breach[0] is control.protects)


def found(control: Control | None, *, seed: int) -> tuple[Invariant, Breach] | None:
    """Live through a small day, without the guard of the control, if there is one; the first breach, if there is one.

    The promise that the guard keeps is looked at first.
    """
    without = control.without if control else ()
    quietly = Progress(Console(file=io.StringIO()))
    with (
        tempfile.TemporaryDirectory(prefix="daybook-proof-") as folder,
        running(quietly, Path(folder), without=without) as system,
    ):
        for promises in _live(system, control, seed):
            breach = _breach(system, promises)
            if breach:
                system.rest(seconds=_REST)  # a timer may have gone off while all was read; what is broken stays so
                breach = _breach(system, promises)
            if breach:
                return breach
    return None


def _live(system: Running, control: Control | None, seed: int) -> Iterator[Sequence[Invariant]]:
    """Live through the day; whenever the system is at rest, and these promises are to be looked at, it stops."""
    first = [control.protects] if control else []
    traffic = Traffic(seed, _SCALE)
    system.producer.send(traffic.morning())
    system.rest(seconds=_REST)
    # Of one article there is one piece now, and two processes look at it before either takes it.
    with system.faults.bring(Fault.meeting(_MEETING, **_TAKING), *_lifted(control)):
        system.producer.send(_rush(traffic, 1000))
        system.rest(seconds=_REST)
    yield first or ALL  # before goods come in that would make up for what was taken twice
    system.producer.send(traffic.restocking(SCARCE[:1]))
    system.rest(seconds=_REST)
    with Deliveries(system.cloud, seed=seed) as deliveries, system.faults.bring(*_provoking(), *_lifted(control)):
        system.other_queues += deliveries.urls
        system.producer.send(_rush(traffic, 2000))
        system.rest(seconds=_REST)
        system.producer.send([*traffic.lot(0, _SCALE), *traffic.restocking()])
        system.rest(seconds=_REST)
    with system.faults.bring(*_lifted(control)):
        system.rest(seconds=_REST)
    yield [*first, *(each for each in ALL if each not in first)]


def _breach(system: Running, promises: Sequence[Invariant]) -> tuple[Invariant, Breach] | None:
    """The first that is broken of these promises."""
    world = system.look()
    return next(((each, breach) for each in promises for breach in each.breaches(world)), None)


def _lifted(control: Control | None) -> Sequence[Fault]:
    return control.lifted if control else ()


def _provoking() -> list[Fault]:
    """What each of the guards is there for: all of it happens on this day."""
    return [
        # Two processes have the same event before either says so.
        Fault.delay(0.5, function="reserve-stock", operation=_COMMIT, times=_RUSH * 2),
        # Deliveries fail, and must come again.
        Fault.denied(function="place-order", operation=_COMMIT, times=4),
        Fault.denied(function="tally-transaction", operation=_COMMIT, times=4),
        # A letter is out, and nobody could note it.
        Fault.death("after", function="mail-confirmed", service="sesv2", operation="SendEmail", times=1),
        # One event of a stream can never be handled.
        Fault.denied(function="raise-alarm", operation=_COMMIT, mentions=_UNLUCKY, times=ALWAYS),
    ]


def _rush(traffic: Traffic, begin: int) -> list[Sent]:
    line = _line(SCARCE[0])
    return [traffic.order(begin + number, lines=[line], payment_method="pm_card_visa") for number in range(_RUSH)]


def _line(sku: str) -> dict[str, object]:
    return {"sku": sku, "quantity": 1, "price": {"amount": 450, "currency": "EUR"}}

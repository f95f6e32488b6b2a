"""Negative controls: a small day without one guard must break the promise that this guard keeps.

The same small day with all its guards breaks nothing: so it is the guard, and neither the day nor the checker.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.faults import ALWAYS, Fault, Guard
from proof.checker.bookkeeping import ACCOUNTED, IN_ORDER, RECORDED_FIRST, STORED_ONCE
from proof.checker.letters import LETTERS
from proof.checker.promises import ALL
from proof.checker.stock import STOCK
from proof.deliveries import Deliveries
from proof.running import Running, running
from proof.traffic import SCARCE, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.progress import Progress
    from proof.checker.breach import Breach, Invariant

_SCALE = 20  # orders, readings and transactions
_RUSH = 10  # orders for the pieces of one article, of which there are fewer
_REST = 180.0  # seconds
# The second report of one device, as DynamoDB is told of its place: the first event of the stream is its registration.
_UNLUCKY = ("device/MON-0", '{"N": "3"}')
_COMMIT = "TransactWriteItems"


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


def found(progress: Progress, control: Control | None, *, seed: int) -> tuple[Invariant, Breach] | None:
    """Live through a small day, without the guard of the control, if there is one; the first breach, if there is one.

    The promise that the guard keeps is looked at first.
    """
    without = control.without if control else ()
    with tempfile.TemporaryDirectory(prefix="daybook-proof-") as folder:
        with running(progress, Path(folder), without=without) as system:
            return next(_live(system, control, seed), None)


def _live(system: Running, control: Control | None, seed: int) -> Iterator[tuple[Invariant, Breach]]:
    traffic = Traffic(seed, _SCALE)
    system.producer.send(traffic.morning())
    system.rest(seconds=_REST)
    rush = [
        traffic.order(1000 + number, lines=[_line(SCARCE[0])], payment_method="pm_card_visa") for number in range(_RUSH)
    ]
    with Deliveries(system.cloud, seed=seed) as deliveries, system.faults.bring(*_provoking(), *_lifted(control)):
        system.other_queues += deliveries.urls
        system.producer.send([*rush, *traffic.lot(0, _SCALE)])
        system.rest(seconds=_REST)
    with system.faults.bring(*_lifted(control)):
        system.rest(seconds=_REST)
    world = system.look()
    first = [control.protects] if control else []
    for invariant in [*first, *(each for each in ALL if each not in first)]:
        yield from ((invariant, breach) for breach in invariant.breaches(world))


def _lifted(control: Control | None) -> Sequence[Fault]:
    return control.lifted if control else ()


def _provoking() -> list[Fault]:
    """What each of the guards is there for: all of it happens on this day."""
    return [
        # Two processes look at the last pieces before either takes them.
        Fault.delay(0.5, function="reserve-stock", operation=_COMMIT, times=_RUSH * 2),
        # Deliveries fail, and must come again.
        Fault.denied(function="place-order", operation=_COMMIT, times=4),
        Fault.denied(function="tally-transaction", operation=_COMMIT, times=4),
        # A letter is out, and nobody could note it.
        Fault.death("after", function="mail-confirmed", service="sesv2", operation="SendEmail", times=1),
        # One event of a stream can never be handled.
        Fault.denied(function="raise-alarm", operation=_COMMIT, mentions=_UNLUCKY, times=ALWAYS),
    ]


def _line(sku: str) -> dict[str, object]:
    return {"sku": sku, "quantity": 1, "price": {"amount": 450, "currency": "EUR"}}

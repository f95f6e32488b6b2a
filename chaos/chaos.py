"""A day in which everything goes wrong that can, at the deployed system, and a look from outside at what is left.

What is sent, the faults and their order follow from the seed; how calls of many processes come to lie among each other
does not. So the same seed makes the same day, and not the same run.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chaos import controls, faults
from chaos.chaos_report import page
from chaos.checker.promises import ALL
from chaos.day import ACTS, END, SHORT, VIEWS, Day
from chaos.deliveries import Deliveries
from chaos.report import write
from chaos.running import running
from chaos.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chaos.checker.breach import Breach
    from chaos.checker.world import World
    from chaos.running import Running
    from daybook.local.progress import Progress

_SHOWN = 10  # of what is the same, so many are shown


@dataclass(frozen=True)
class Result:
    """What a day has come to."""

    seed: int
    scale: int
    seconds: float
    world: World
    breaches: Mapping[str, Sequence[Breach]]
    """By the name of each invariant."""
    complaints: Sequence[str]
    brought: Mapping[str, int]
    spared: Sequence[str]

    @property
    def held(self) -> bool:
        """Whether everything did."""
        return not self.complaints and not any(self.breaches.values())


def live(
    progress: Progress,
    *,
    seed: int,
    scale: int,
    short: bool = False,
) -> Result:
    """Live through a day with so many orders, readings and transactions, and look at what is left.

    A `short` one has less of everything, so that it takes some minutes.
    """
    acts = SHORT if short else ACTS
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="daybook-proof-")))
        system = stack.enter_context(running(progress, folder))
        traffic = Traffic(seed, scale)
        with progress.step("the morning: goods, devices, and a first look at who calls what"):
            system.producer.send(traffic.morning())
            first = min(scale // 10, 20)
            system.producer.send(list(traffic.lot(0, first)))
            system.rest(seconds=END)
        with Deliveries(system.cloud, seed=seed) as deliveries:
            day = Day(system, traffic, deliveries, faults.Killing(seed))
            if short:
                day.patience, day.frozen = 20.0, (3.0,)
            for number, act in enumerate(acts):
                begin, end = (first + (scale - first) * place // len(acts) for place in (number, number + 1))
                with progress.step((act.__doc__ or "").strip().splitlines()[0].rstrip(".")):
                    day.beside(number + 1)
                    act(day, list(traffic.lot(begin, end)))
        with progress.step("the evening: coming to rest, and mending what is dead"):
            day.beside(len(acts) + 1)
            day.mend()
        with progress.step("looking from outside"):
            world, breaches = _looked(system)
            if any(breaches.values()):
                # A timer may have gone off while all was read, table by table. What is broken stays so.
                system.rest(seconds=END)
                world, breaches = _looked(system)
        with progress.step("asking the operator's own commands"):
            for view in VIEWS:
                day.operate("verify", view)
            day.operate("audit", "check", "--settled", "0s")
        return Result(
            seed,
            scale,
            time.monotonic() - began,
            world,
            breaches,
            day.complaints,
            day.times(),
            list(day.killing.spared(system.faults)),
        )


def _looked(system: Running) -> tuple[World, dict[str, list[Breach]]]:
    world = system.look()
    return world, {invariant.name: list(invariant.breaches(world)) for invariant in ALL}


def run(progress: Progress, *, seed: int, scale: int) -> bool:
    """Live through a day, then through small ones without a guard; write the report. Returns whether all held."""
    result = live(progress, seed=seed, scale=scale)
    for line in told(result):
        progress.say(line)
    progress.say()
    verdicts = controls.all_of_them(progress, seed=seed)
    for verdict in verdicts:
        progress.say(f"  {verdict}")
    write("chaos", page(result, verdicts))
    return result.held and all(verdict.as_it_should_be for verdict in verdicts)


def told(result: Result) -> Iterator[str]:
    """What a run says at its end."""
    for what, times in result.brought.items():
        yield f"  {times:6,}  {what}"
    yield ""
    for name, breaches in result.breaches.items():
        yield f"  {f'BROKEN, {len(breaches)} times' if breaches else 'held'}: {name}"
        yield from (f"    {breach.what}" for breach in breaches[:_SHOWN])
    yield from (f"  {complaint}" for complaint in result.complaints)

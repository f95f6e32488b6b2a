"""A day in which everything goes wrong that can, at the deployed system, and a look from outside at what is left.

What is sent, the faults and their order follow from the seed; how calls of many processes come to lie among each other
does not. So the same seed makes the same day, and not the same run.
"""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from local.provider import Fault as Outside
from proof import faults
from proof.checker.promises import ALL
from proof.deliveries import Deliveries
from proof.operator import daybook
from proof.running import NeverAtRest, Running, running
from proof.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from local.faults import Guard
    from local.progress import Progress
    from proof.checker.breach import Breach
    from proof.checker.world import Sent, World

VIEWS = ("order-status", "devices", "device-history", "account-days", "merchant-days", "minutes")
_BACKLOG = 150  # messages: with no more of them the next act begins
_ACT = 90.0  # seconds after which it begins anyway
_END = 900.0  # seconds in which all must come to rest once nothing goes wrong any more
_ROUNDS = 4  # of sending dead letters again
_UNKNOWN = "OutcomeUnknown"
# What no repetition mends: it is discarded, by a decision.
_FOR_GOOD = ("ContractBroken", "StreamAlreadyOpen")


@dataclass
class Day:
    """One day: the system, what is sent to it, and what was done to it by now."""

    running: Running
    traffic: Traffic
    deliveries: Deliveries
    progress: Progress
    killing: faults.Killing
    brought: list[faults.Labelled] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    """What was not brought about at a seam: freezing, pausing, an operator's commands."""
    outside: list[tuple[str, Outside]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.traffic.seed)  # noqa: S311 - to be repeated

    @contextmanager
    def under(self, *several: faults.Labelled) -> Iterator[None]:
        """In the block these faults strike, and processes are killed at all calls that are known by now."""
        self.brought += several
        deaths = self.killing.of(self.running.faults.calls())
        with self.running.faults.bring(*deaths, *(fault for _, fault in several)):
            yield

    def send(self, lot: Sequence[Sent]) -> None:
        """Send a lot, and let the system work it off, all but some of it."""
        self.running.producer.send(lot)
        self.digest(lot)

    def digest(self, lot: Sequence[Sent]) -> None:
        """Wait until most of a lot is worked off."""
        with suppress(NeverAtRest):
            self.running.rest(seconds=_ACT, at_most=min(len(lot) // 2, _BACKLOG))

    def operate(self, *arguments: str, may_fail: bool = False) -> str:
        """Do what an operator does. Returns what the command said; a failure is a complaint, unless it may be."""
        name = " ".join(word for word in arguments[:2] if not word.startswith("-") and word not in VIEWS)
        said = daybook(self.running.cloud, *arguments)
        self.done[f"`daybook {name}`"] += 1
        if said.returncode and not may_fail:
            self.complaints.append(f"daybook {' '.join(arguments)}: {(said.stderr or said.stdout).strip()[-500:]}")
        return said.stdout

    # --- the acts -------------------------------------------------------------------------------------------------

    def kill(self, lot: Sequence[Sent]) -> None:
        """Processes are killed before and after each call to AWS."""
        with self.under():
            self.send(lot)

    def refuse(self, lot: Sequence[Sent]) -> None:
        """AWS throttles, and transactions conflict."""
        seed = self.traffic.seed
        with self.under(*faults.throttling(seed), *faults.conflicts(seed)):
            self.send(lot)

    def leave_unanswered(self, lot: Sequence[Sent]) -> None:
        """Calls get no answer, whether they took effect or not; of what is sent together, some is taken."""
        seed = self.traffic.seed
        with self.under(*faults.timeouts(seed), *faults.partial(seed)):
            self.send(lot)

    def freeze(self, lot: Sequence[Sent]) -> None:
        """The whole cloud stands still, again and again, for up to longer than a function may run."""
        sending = threading.Thread(target=self.running.producer.send, args=(lot,))
        with self.under():
            sending.start()
            for seconds in (2.0, 6.0, 13.0):
                with self.running.cloud.frozen():
                    time.sleep(seconds)
                self.done["the cloud frozen, and thawed"] += 1
                time.sleep(seconds / 2)
            sending.join()
            self.digest(lot)

    def pause(self, lot: Sequence[Sent]) -> None:
        """Operators pause consumers, and let them go on."""
        chosen = self._chance.sample(("reserve-stock", "confirm-order", "raise-alarm", "tally-transaction"), 2)
        chosen.append(self._chance.choice(("admit", "publish")))
        with self.under():
            for consumer in chosen:
                self.operate("pause", consumer, "--reason", "chaos", "--apply")
            self.running.producer.send(lot)
            time.sleep(5)
            for consumer in chosen:
                self.operate("resume", consumer, "--reason", "chaos", "--apply")
            self.digest(lot)

    def cut_off(self, lot: Sequence[Sent]) -> None:
        """The payment provider, the e-mail service and the pager are down; then they answer, and answers are lost."""
        down = [("payment provider down", Outside.unavailable(times=None))]
        flaky = [
            (f"provider: connection lost {when} {operation}", Outside.dropped(when, operation=operation, times=3))
            for when in ("before", "after")
            for operation in ("payment_intents.create", "payment_intents.confirm")
        ]
        flaky.append(("provider: failed, having done it", Outside.server_error("after", times=2)))
        self.outside += [*down, *flaky]
        half = len(lot) // 2
        with self.running.provider.brings(*(fault for _, fault in down)), self.under(*faults.mail_down(0)):
            self.running.producer.send(lot[:half])
            time.sleep(20)
        with (
            self.running.provider.brings(*(fault for _, fault in flaky)),
            self.under(*faults.mail_unanswered(0)),
        ):
            self.send(lot[half:])

    def repair(self, lot: Sequence[Sent]) -> None:
        """Views are made anew and dead letters sent again, while events come in and processes are killed."""
        rebuilding = threading.Thread(target=self._rebuild)
        with self.under():
            self.running.producer.send(lot)
            rebuilding.start()
            self.operate("dead", "retry", "--all", "--reason", "chaos", "--wait", "20", "--apply", may_fail=True)
            rebuilding.join()
            self.digest(lot)

    def _rebuild(self) -> None:
        # A function that is killed while it is asked stops the rebuild; the next one goes on.
        for view in ("order-status", "devices", "account-days"):
            self.operate("rebuild", view, "--reason", "chaos", "--apply", may_fail=True)

    def parcels(self) -> None:
        """Parcels leave for orders that are confirmed by now, and some money is asked back."""
        confirmed = [event.data["order_id"] for event in self.running.look().events("OrderConfirmed")]
        self.running.producer.send(self.traffic.parcels(confirmed[::2]))
        self.running.producer.send(self.traffic.refunds(confirmed[1::20]))

    # --- the evening ----------------------------------------------------------------------------------------------

    def mend(self) -> None:
        """What an operator does once nothing goes wrong any more: discard what is wrong for good, send the rest again,
        until nothing is dead but what a person must look at.
        """
        self.running.rest(seconds=_END)
        for error in _FOR_GOOD:
            self.operate("dead", "discard", "--consumer", "admit", "--error", error, "--reason", "no order", "--apply")
        for _ in range(_ROUNDS):
            if not self._retriable():
                break
            self.operate("dead", "retry", "--all", "--reason", "all is well again", "--apply", may_fail=True)
            self.running.rest(seconds=_END)

    def _retriable(self) -> int:
        told = map(json.loads, self.operate("dead", "list", "--limit", "100000", "--json").splitlines())
        return sum(letter["error"] != _UNKNOWN for letter in told)


ACTS: Sequence[Callable[[Day, Sequence[Sent]], None]] = (
    Day.kill,
    Day.refuse,
    Day.leave_unanswered,
    Day.freeze,
    Day.pause,
    Day.cut_off,
    Day.repair,
)


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
    acts: Sequence[Callable[[Day, Sequence[Sent]], None]] = ACTS,
    without: Sequence[Guard] = (),
) -> Result:
    """Live through a day with so many orders, readings and transactions, and look at what is left."""
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="daybook-proof-")))
        system = stack.enter_context(running(progress, folder, without=without))
        traffic = Traffic(seed, scale)
        with progress.step("the morning: goods, devices, and a first look at who calls what"):
            system.producer.send(traffic.morning())
            first = min(scale // 10, 20)
            system.producer.send(list(traffic.lot(0, first)))
            system.rest(seconds=_END)
        with Deliveries(system.cloud, seed=seed) as deliveries:
            system.other_queues += deliveries.urls
            day = Day(system, traffic, deliveries, progress, faults.Killing(seed))
            for number, act in enumerate(acts):
                begin, end = (first + (scale - first) * place // len(acts) for place in (number, number + 1))
                with progress.step((act.__doc__ or "").strip().splitlines()[0].rstrip(".")):
                    if number:
                        day.parcels()
                    act(day, list(traffic.lot(begin, end)))
        with progress.step("the evening: coming to rest, and mending what is dead"):
            day.parcels()
            day.mend()
        with progress.step("looking from outside"):
            world = system.look()
            breaches = {invariant.name: list(invariant.breaches(world)) for invariant in ALL}
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
            _told(day),
            list(day.killing.spared(system.faults)),
        )


def run(progress: Progress, *, seed: int, scale: int) -> bool:
    """Live through a day, then through small ones without a guard; write the report. Returns whether all held."""
    result = live(progress, seed=seed, scale=scale)
    for line in told(result):
        progress.say(line)
    return result.held


def told(result: Result) -> Iterator[str]:
    """What a run says at its end."""
    for what, times in result.brought.items():
        yield f"  {times:6,}  {what}"
    yield ""
    for name, breaches in result.breaches.items():
        yield f"  {'held' if not breaches else f'BROKEN {len(breaches)} times'}  {name}"
        yield from (f"    {breach.what}" for breach in breaches[:10])
    yield from result.complaints


def _told(day: Day) -> dict[str, int]:
    faults_ = day.running.faults
    return {
        "deliveries, each event twice at least, late and shuffled": day.deliveries.delivered,
        **day.killing.told(faults_),
        **faults.counted(day.brought, faults_),
        **_outside(day),
        **day.done,
    }


def _outside(day: Day) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for label, fault in day.outside:
        counts[label] += day.running.provider.brought(fault)
    return counts

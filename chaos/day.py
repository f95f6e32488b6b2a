"""A day in the hands of the proof: what is sent, and each act of what goes wrong meanwhile."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chaos import faults
from chaos.operator import daybook
from chaos.running import NeverAtRest, Running
from chaos.traffic import Traffic
from daybook.local.provider import Fault as Outside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chaos.checker.world import Sent
    from chaos.deliveries import Deliveries

VIEWS = ("order-status", "devices", "device-history", "account-days", "merchant-days", "minutes")
END = 900.0  # seconds in which all must come to rest once nothing goes wrong any more
_BACKLOG = 150  # messages: with no more of them the next act begins
_STRIKES = 2  # of each fault of the e-mail service and the pager
_NEXT_ORDER = 5.0  # seconds between orders that come only so that the payment provider is called
_ROUNDS = 4  # of sending dead letters again, and of a rebuild that was stopped
_REBUILT = "`daybook rebuild`"
_UNKNOWN = "OutcomeUnknown"
# What no repetition mends: it is discarded, by a decision.
_FOR_GOOD = ("ContractBroken", "StreamAlreadyOpen")


@dataclass
class Day:
    """One day: the system, what is sent to it, and what was done to it by now.

    `patience` is how many seconds an act takes at the most, `frozen` for how many the cloud stands still each time.
    """

    running: Running
    traffic: Traffic
    deliveries: Deliveries
    killing: faults.Killing
    patience: float = 90.0
    frozen: Sequence[float] = (2.0, 6.0, 13.0)
    brought: list[faults.Labelled] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    """What was not brought about at a seam: freezing, pausing, an operator's commands."""
    outside: list[tuple[str, Outside]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.traffic.seed)  # noqa: S311 - to be repeated
        more = Traffic(self.traffic.seed, self.traffic.scale)  # of its own, so that the day's is the same each time
        numbers = itertools.count(10 * more.scale)
        self._good_orders = (more.order(number, payment_method="pm_card_visa") for number in numbers)

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
            self.running.rest(seconds=self.patience, at_most=min(len(lot) // 2, _BACKLOG))

    def operate(self, *arguments: str, may_fail: bool = False) -> str:
        """Do what an operator does. Returns what the command said; a failure is a complaint, unless it may be."""
        name = " ".join(word for word in arguments[:2] if not word.startswith("-") and word not in VIEWS)
        said = daybook(self.running.cloud, *arguments)
        self.done[f"`daybook {name}`{', not to a good end' if said.returncode else ''}"] += 1
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

    def fail(self, lot: Sequence[Sent]) -> None:
        """All of that at once."""
        seed = self.traffic.seed
        several = [faults.throttling(seed), faults.conflicts(seed), faults.timeouts(seed), faults.partial(seed)]
        with self.under(*(each for of_a_kind in several for each in of_a_kind)):
            self.send(lot)

    def freeze(self, lot: Sequence[Sent]) -> None:
        """The whole cloud stands still, again and again, for up to longer than a function may run."""
        sending = threading.Thread(target=self.running.producer.send, args=(lot,))
        with self.under():
            sending.start()
            for seconds in self.frozen:
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
            (
                f"payment provider: connection lost {when} {operation}",
                Outside.dropped(when, operation=operation, times=None),
            )
            for when in ("before", "after")
            for operation in ("payment_intents.create", "payment_intents.confirm")
        ]
        flaky.append(("payment provider: an error, though it was done", Outside.server_error("after", times=None)))
        half = len(lot) // 2
        self._out_of_order(lot[:half], down, list(faults.mail_down()))
        self._out_of_order(lot[half:], flaky, list(faults.mail_unanswered()))
        self.digest(lot)

    def _out_of_order(
        self, lot: Sequence[Sent], outside: Sequence[tuple[str, Outside]], inside: Sequence[faults.Labelled]
    ) -> None:
        """Let these faults strike: those of the payment provider until each has, however long that takes; the others
        until each has twice, or nobody has come to it in time.
        """
        self.outside += outside
        seam, deadline = self.running.faults, time.monotonic() + self.patience
        with self.under(*inside):
            self.running.producer.send(lot)
            for label, fault in outside:
                self._strike(label, fault)
            while time.monotonic() < deadline and any(seam.brought(fault) < _STRIKES for _, fault in inside):
                time.sleep(1)

    def _strike(self, label: str, fault: Outside) -> None:
        """Let a fault of the payment provider strike until it has. Good orders come as long as it has not."""
        provider, now = self.running.provider, time.monotonic()
        deadline, due = now + END, now + _NEXT_ORDER
        with provider.brings(fault):
            while not provider.brought(fault):
                now = time.monotonic()
                if now > deadline:
                    self.complaints.append(f"{label}: never, in {END:.0f} s")
                    return
                if now > due:
                    self.running.producer.send([next(self._good_orders)])
                    due = now + _NEXT_ORDER
                time.sleep(0.2)

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
        # A function that is killed while it is asked stops a rebuild; repeated, it goes on, and must come to its end.
        for view in ("order-status", "devices", "account-days"):
            for left in reversed(range(_ROUNDS)):
                before = self.done[_REBUILT]
                self.operate("rebuild", view, "--reason", "chaos", "--apply", may_fail=left > 0)
                if self.done[_REBUILT] > before:
                    break

    def beside(self, turn: int) -> None:
        """What happens beside the acts: parcels leave for orders that are confirmed by now, some money is asked back,
        goods come, devices are registered anew.
        """
        self.running.producer.send(self.traffic.meanwhile(turn))
        confirmed = [event.data["order_id"] for event in self.running.look().events("OrderConfirmed")]
        self.running.producer.send(self.traffic.parcels(confirmed[::2]))
        self.running.producer.send(self.traffic.refunds(confirmed[1::20]))

    # --- the evening ----------------------------------------------------------------------------------------------

    def mend(self) -> None:
        """What an operator does once nothing goes wrong any more: discard what is wrong for good, send the rest again,
        until nothing is dead but what a person must look at.
        """
        self.running.rest(seconds=END)
        for error in _FOR_GOOD:
            self.operate("dead", "discard", "--consumer", "admit", "--error", error, "--reason", "no order", "--apply")
        for _ in range(_ROUNDS):
            if not self._retriable():
                break
            self.operate("dead", "retry", "--all", "--reason", "all is well again", "--apply", may_fail=True)
            self.running.rest(seconds=END)

    def _retriable(self) -> int:
        told = map(json.loads, self.operate("dead", "list", "--limit", "100000", "--json").splitlines())
        return sum(letter["error"] != _UNKNOWN for letter in told)

    def times(self) -> dict[str, int]:
        """How often each thing was brought about."""
        seam = self.running.faults
        outside: Counter[str] = Counter()
        for label, fault in self.outside:
            outside[label] += self.running.provider.brought(fault)
        return {
            "deliveries, each event twice at least, late and shuffled": self.deliveries.delivered,
            **self.killing.told(seam),
            **faults.counted(self.brought, seam),
            **outside,
            **self.done,
        }


if TYPE_CHECKING:
    Act = Callable[[Day, Sequence[Sent]], None]

# In a short day, what AWS does wrong comes all at once.
SHORT: Sequence[Act] = (Day.fail, Day.freeze, Day.pause, Day.cut_off, Day.repair)
ACTS: Sequence[Act] = (
    Day.kill,
    Day.refuse,
    Day.leave_unanswered,
    Day.freeze,
    Day.pause,
    Day.cut_off,
    Day.repair,
)

"""A chaos run: sends events in phases, each with other faults."""

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
from chaos.cli import daybook
from chaos.system import NotIdle, SystemUnderTest
from chaos.traffic import Traffic
from daybook.local.provider import Fault as ProviderFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chaos.checker.snapshot import Sent
    from chaos.deliveries import Deliveries

VIEWS = ("order-status", "devices", "device-history", "account-days", "merchant-days", "minutes")
IDLE_TIMEOUT = 900.0  # seconds until the system must be idle once faults have ended
_BACKLOG = 150  # messages in flight with which the next phase may begin
_INJECTIONS = 2  # of each fault of the e-mail service and the pager
_ORDER_INTERVAL = 5.0  # seconds between orders that are sent only to cause calls of the payment provider
_ROUNDS = 4  # of retrying dead letters, and of an interrupted rebuild
_REBUILT = "`daybook rebuild`"
_UNKNOWN = "OutcomeUnknown"
# Errors that no retry can fix; the run discards these dead letters.
_PERMANENT = ("ContractBroken", "StreamAlreadyOpen")


@dataclass
class ChaosRun:
    """One run: the system, the events, and what was done so far.

    `phase_timeout` is the maximum duration of a phase in seconds; `suspensions` are the durations for which the cloud
    is suspended.
    """

    system: SystemUnderTest
    traffic: Traffic
    deliveries: Deliveries
    killing: faults.Killing
    phase_timeout: float = 90.0
    suspensions: Sequence[float] = (2.0, 6.0, 13.0)
    injected: list[faults.Labelled] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """How often the cloud was suspended and commands were run."""
    provider_faults: list[tuple[str, ProviderFault]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.traffic.seed)  # noqa: S311 - reproducible
        more = Traffic(self.traffic.seed, self.traffic.scale)  # separate, so that the run's own traffic is reproducible
        numbers = itertools.count(10 * more.scale)
        self._valid_orders = (more.order(number, payment_method="pm_card_visa") for number in numbers)

    @contextmanager
    def under(self, *several: faults.Labelled) -> Iterator[None]:
        """In the block, inject these faults, and kill processes at all calls that are known so far."""
        self.injected += several
        deaths = self.killing.of(self.system.faults.calls())
        with self.system.faults.inject(*deaths, *(fault for _, fault in several)):
            yield

    def send(self, batch: Sequence[Sent]) -> None:
        """Send a batch, and wait until most of it is processed."""
        self.system.producer.send(batch)
        self.process(batch)

    def process(self, batch: Sequence[Sent]) -> None:
        """Wait until most of a batch is processed."""
        with suppress(NotIdle):
            self.system.wait_until_idle(seconds=self.phase_timeout, at_most=min(len(batch) // 2, _BACKLOG))

    def command(self, *arguments: str, may_fail: bool = False) -> str:
        """Run an operator's command. Returns its output. A failure is a problem unless it `may_fail`."""
        name = " ".join(word for word in arguments[:2] if not word.startswith("-") and word not in VIEWS)
        ended = daybook(self.system.cloud, *arguments)
        self.counts[f"`daybook {name}`{', failed' if ended.returncode else ''}"] += 1
        if ended.returncode and not may_fail:
            self.problems.append(f"daybook {' '.join(arguments)}: {(ended.stderr or ended.stdout).strip()[-500:]}")
        return ended.stdout

    # --- phases ---------------------------------------------------------------------------------------------------

    def kill(self, batch: Sequence[Sent]) -> None:
        """Killing processes before and after each call to AWS."""
        with self.under():
            self.send(batch)

    def refuse(self, batch: Sequence[Sent]) -> None:
        """Throttling calls, and conflicts of transactions."""
        seed = self.traffic.seed
        with self.under(*faults.throttling(seed), *faults.conflicts(seed)):
            self.send(batch)

    def time_out(self, batch: Sequence[Sent]) -> None:
        """Time-outs of calls, and batch calls that succeed in part."""
        seed = self.traffic.seed
        with self.under(*faults.timeouts(seed), *faults.partial(seed)):
            self.send(batch)

    def fail(self, batch: Sequence[Sent]) -> None:
        """All faults of AWS calls at once."""
        seed = self.traffic.seed
        several = [faults.throttling(seed), faults.conflicts(seed), faults.timeouts(seed), faults.partial(seed)]
        with self.under(*itertools.chain(*several)):
            self.send(batch)

    def suspend(self, batch: Sequence[Sent]) -> None:
        """Suspending the whole cloud several times, for longer than a function may run."""
        sending = threading.Thread(target=self.system.producer.send, args=(batch,))
        with self.under():
            sending.start()
            for seconds in self.suspensions:
                with self.system.cloud.frozen():
                    time.sleep(seconds)
                self.counts["cloud suspended and resumed"] += 1
                time.sleep(seconds / 2)
            sending.join()
            self.process(batch)

    def pause(self, batch: Sequence[Sent]) -> None:
        """Pausing and resuming consumers."""
        chosen = self._random.sample(("reserve-stock", "confirm-order", "raise-alarm", "tally-transaction"), 2)
        chosen.append(self._random.choice(("admit", "publish")))
        with self.under():
            for consumer in chosen:
                self.command("pause", consumer, "--reason", "chaos", "--apply")
            self.system.producer.send(batch)
            time.sleep(5)
            for consumer in chosen:
                self.command("resume", consumer, "--reason", "chaos", "--apply")
            self.process(batch)

    def break_external_systems(self, batch: Sequence[Sent]) -> None:
        """Outages of the payment provider, the e-mail service and the pager; then lost answers."""
        down = [("payment provider down", ProviderFault.unavailable(times=None))]
        flaky = [
            (
                f"payment provider: connection lost {when} {operation}",
                ProviderFault.dropped(when, operation=operation, times=None),
            )
            for when in ("before", "after")
            for operation in ("payment_intents.create", "payment_intents.confirm")
        ]
        flaky.append(
            ("payment provider: error although it took effect", ProviderFault.server_error("after", times=None))
        )
        half = len(batch) // 2
        self._under_external_faults(batch[:half], down, list(faults.mail_down()))
        self._under_external_faults(batch[half:], flaky, list(faults.mail_unanswered()))
        self.process(batch)

    def _under_external_faults(
        self,
        batch: Sequence[Sent],
        provider_faults: Sequence[tuple[str, ProviderFault]],
        aws_faults: Sequence[faults.Labelled],
    ) -> None:
        """Inject each fault of the payment provider until it has occurred, however long that takes; and the others
        until each has occurred twice, or the phase has timed out.
        """
        self.provider_faults += provider_faults
        aws, deadline = self.system.faults, time.monotonic() + self.phase_timeout
        with self.under(*aws_faults):
            self.system.producer.send(batch)
            for label, fault in provider_faults:
                self._inject_once(label, fault)
            while time.monotonic() < deadline and any(
                aws.injected_count(fault) < _INJECTIONS for _, fault in aws_faults
            ):
                time.sleep(1)

    def _inject_once(self, label: str, fault: ProviderFault) -> None:
        """Inject a fault of the payment provider until it has occurred. Sends valid orders meanwhile."""
        provider, now = self.system.provider, time.monotonic()
        deadline, due = now + IDLE_TIMEOUT, now + _ORDER_INTERVAL
        with provider.inject(fault):
            while not provider.injected_count(fault):
                now = time.monotonic()
                if now > deadline:
                    self.problems.append(f"{label}: did not occur within {IDLE_TIMEOUT:.0f} s")
                    return
                if now > due:
                    self.system.producer.send([next(self._valid_orders)])
                    due = now + _ORDER_INTERVAL
                time.sleep(0.2)

    def rebuild_and_retry(self, batch: Sequence[Sent]) -> None:
        """Rebuilding views and retrying dead letters, while events arrive and processes are killed."""
        rebuilding = threading.Thread(target=self._rebuild)
        with self.under():
            self.system.producer.send(batch)
            rebuilding.start()
            self.command("dead", "retry", "--all", "--reason", "chaos", "--wait", "20", "--apply", may_fail=True)
            rebuilding.join()
            self.process(batch)

    def _rebuild(self) -> None:
        # A killed function may interrupt a rebuild. The repeated command continues it, and must finish it at last.
        for view in ("order-status", "devices", "account-days"):
            for left in reversed(range(_ROUNDS)):
                before = self.counts[_REBUILT]
                self.command("rebuild", view, "--reason", "chaos", "--apply", may_fail=left > 0)
                if self.counts[_REBUILT] > before:
                    break

    def send_other_events(self, turn: int) -> None:
        """Send stock and registrations, shipments of orders that are confirmed by now, and some refund requests."""
        self.system.producer.send(self.traffic.occasional_events(turn))
        confirmed = [event.data["order_id"] for event in self.system.snapshot().events("OrderConfirmed")]
        self.system.producer.send(self.traffic.shipments(confirmed[::2]))
        self.system.producer.send(self.traffic.refunds(confirmed[1::20]))

    # --- after the faults -----------------------------------------------------------------------------------------

    def resolve_dead_letters(self) -> None:
        """Do what an operator does after an incident: discard what no retry can fix, then retry the rest until only
        effects with an unknown outcome are dead.
        """
        self.system.wait_until_idle(seconds=IDLE_TIMEOUT)
        for error in _PERMANENT:
            self.command("dead", "discard", "--consumer", "admit", "--error", error, "--reason", "no order", "--apply")
        for _ in range(_ROUNDS):
            if not self._retriable():
                break
            self.command("dead", "retry", "--all", "--reason", "incident over", "--apply", may_fail=True)
            self.system.wait_until_idle(seconds=IDLE_TIMEOUT)

    def _retriable(self) -> int:
        dead = map(json.loads, self.command("dead", "list", "--limit", "100000", "--json").splitlines())
        return sum(each["error"] != _UNKNOWN for each in dead)

    def injected_counts(self) -> dict[str, int]:
        """How often each fault was injected."""
        aws = self.system.faults
        provider: Counter[str] = Counter()
        for label, fault in self.provider_faults:
            provider[label] += self.system.provider.injected_count(fault)
        return {
            "deliveries: each event at least twice, late and shuffled": self.deliveries.delivered,
            **self.killing.counts(aws),
            **faults.injected_counts(self.injected, aws),
            **provider,
            **self.counts,
        }


if TYPE_CHECKING:
    Phase = Callable[[ChaosRun, Sequence[Sent]], None]

# A short run injects all faults of AWS at once.
SHORT_PHASES: Sequence[Phase] = (
    ChaosRun.fail,
    ChaosRun.suspend,
    ChaosRun.pause,
    ChaosRun.break_external_systems,
    ChaosRun.rebuild_and_retry,
)
PHASES: Sequence[Phase] = (
    ChaosRun.kill,
    ChaosRun.refuse,
    ChaosRun.time_out,
    ChaosRun.suspend,
    ChaosRun.pause,
    ChaosRun.break_external_systems,
    ChaosRun.rebuild_and_retry,
)

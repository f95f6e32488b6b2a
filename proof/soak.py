"""Mixed traffic for a long time, and nothing grows that should not."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from backbone.identity import admitted_id
from bench import machine
from local.project import ROOT, private
from local.system import STAGE, up
from ops.connection import Connection
from ops.letters import Selection, letters
from ops.quiet import wait_until_quiet
from proof import growth, plot, report
from proof.following import Follower
from proof.samples import Sample, Sampler
from proof.traffic import Producer, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from local.cloud import Cloud
    from local.progress import Progress
    from proof.checker.world import Sent

RATE = 1.5  # a second, of orders, of readings and of transactions; two cores bear several times as much
PICTURE = ROOT / "docs" / "soak.svg"

_WORLD = 1000  # patients, devices, accounts as for so many orders, however long it lasts
_SAMPLE = 5.0  # seconds between two looks,
_MOST_SAMPLES = 360  # or more, in a long run: a picture shows no more
_RESTOCK = 100  # orders between two deliveries of goods
_PATIENCE = timedelta(minutes=10)  # until all is quiet, when the traffic has stopped
_GOOD = """Nothing has grown that should not. When the traffic had stopped, all queues ran empty, each event had come
to its end at each of its consumers, and nothing was dead but what was sent to be refused."""
_SHOWN = 5  # examples of what is wrong


def run(progress: Progress, *, seed: int, minutes: float, rate: float = RATE) -> bool:
    """Send so many orders, readings and transactions a second, for so long, and look at what that does to the system.

    Writes what was seen to `docs/proof.md` and `docs/soak.svg`, and each sample to `.daybook/soak.jsonl` as it is
    taken. Returns whether nothing has grown that should not, and all that was sent has come to its end.
    """
    with up(progress) as cloud:
        soak = _Soak(cloud, Traffic(seed, _WORLD), rate)
        with progress.step("putting goods on the shelf"):
            soak.open()
        progress.say(f"Sending for {minutes:g} minutes: {rate:g} orders, readings and transactions each a second.")
        samples = _kept(_told(progress, soak.work(minutes)))
        with progress.step("waiting until all is quiet"):
            wrong = soak.close()
    verdicts = growth.judge(samples)
    wrong += [_complaint(verdict) for verdict in verdicts if not verdict.held]
    with progress.step(f"drawing {PICTURE.relative_to(ROOT)}"):
        plot.draw(samples, PICTURE)
    said = f"Seed {seed}, {rate:g} orders, readings and transactions each a second, for {minutes:g} minutes"
    report.write("soak", _page(said, samples, verdicts, wrong, soak.sent))
    for verdict in verdicts:
        progress.say(f"  {_line(verdict)}")
    for sentence in wrong:
        progress.say(f"✗ {sentence}")
    progress.say("Nothing has grown that should not." if not wrong else "Not all held.")
    return not wrong


class _Soak:
    """The traffic, and what becomes of it."""

    def __init__(self, cloud: Cloud, traffic: Traffic, rate: float) -> None:
        self._cloud = cloud
        self._connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        self._traffic = traffic
        self._rate = rate
        self._producer = Producer(cloud)
        self._follower = Follower(self._connection)
        self._began = datetime.now(UTC)

    @property
    def sent(self) -> int:
        """How many events were put on the ingress bus."""
        return len(self._producer.sent)

    def open(self) -> None:
        """Send what there must be first, and wait until it is handled."""
        self._send(self._traffic.morning())
        self._quiet()

    def work(self, minutes: float) -> Iterator[Sample]:
        """Send, and yield what is seen meanwhile. Each sending and each look has its time, however long one took."""
        began = time.monotonic()
        sampler = Sampler(self._cloud, self._connection, self._follower, began)
        every = max(_SAMPLE, minutes * 60 / _MOST_SAMPLES)
        triples, looks = 0, 1
        while (now := time.monotonic()) < began + minutes * 60:
            triple, look = began + triples / self._rate, began + looks * every
            if now >= look:
                yield sampler.take()
                looks = int((now - began) / every) + 1
                self._send(self._traffic.parcels(self._follower.shipped()))
            elif now >= triple:
                self._send(self._traffic.lot(triples, triples + 1))
                triples += 1
                if triples % _RESTOCK == 0:
                    self._send(self._traffic.restock(triples // _RESTOCK))
            else:
                time.sleep(min(triple, look) - now)

    def close(self) -> list[str]:
        """Wait until nothing is under way. Returns what has not come to its end, or to a bad one, in sentences."""
        left = self._quiet()
        wrong = [f"after {_PATIENCE.seconds // 60} minutes this is still under way: {one}" for one in left[:_SHOWN]]
        if waiting := self._follower.look().open:
            wrong.append(f"{waiting} deliveries of what was sent have come to no end by the ledger")
        return wrong + list(self._wrongly_dead())

    def _quiet(self) -> Sequence[object]:
        return wait_until_quiet(self._connection, self._began - timedelta(seconds=5), datetime.now(UTC) + _PATIENCE)

    def _wrongly_dead(self) -> Iterator[str]:
        """What is dead and should not be, and what should be and is not."""
        account = self._connection.account
        foreseen = {admitted_id(account, sent.source, sent.producer_id): sent for sent in self._producer.sent}
        dead = list(letters(self._connection, Selection()))
        for letter in dead:
            expected = foreseen.get(letter.event)
            if letter.consumer != "admit" or expected is None or letter.error not in expected.refused:
                yield f"{letter.type} {letter.event} is dead at {letter.consumer}: {letter.error}, {letter.reason}"
        refused = {letter.event for letter in dead}
        for event_id, sent in foreseen.items():
            if not sent.taken and event_id not in refused:
                yield f"{sent.type} {event_id} should have been refused, and is not"

    def _send(self, events: Iterable[Sent]) -> None:
        several = list(events)
        now = datetime.now(UTC)
        for event in several:
            self._follower.follow(event, now)
        self._producer.send(several)


def _kept(samples: Iterable[Sample]) -> list[Sample]:
    """All of them, each written down at once: an hour is long."""
    taken = []
    with (private(ROOT) / "soak.jsonl").open("w", encoding="utf-8") as notes:
        for sample in samples:
            taken.append(sample)
            notes.write(f"{json.dumps(asdict(sample))}\n")
            notes.flush()
    return taken


def _told(progress: Progress, samples: Iterable[Sample]) -> Iterator[Sample]:
    """A line each minute."""
    told = 0
    for sample in samples:
        if sample.minutes >= told + 1:
            told = int(sample.minutes)
            progress.say(
                f"  {told:3d} min  {sample.events:8,} events  {sample.messages:5,} in queues  "
                f"p99 {_number(sample.slow)} s  "
                f"workers {sample.memory / 1000:.2f} GB  cloud {sample.cloud / 1000:.2f} GB"
            )
        yield sample


def _complaint(verdict: growth.Verdict) -> str:
    return f"has grown: {_line(verdict)}"


def _line(verdict: growth.Verdict) -> str:
    before, after, limit = (_number(value) for value in (verdict.before, verdict.after, verdict.limit))
    unit = f" {verdict.quantity.unit}" if verdict.quantity.unit else ""
    return f"{verdict.quantity.name}: {before}, then {after}{unit} (at most {limit})"


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"  # noqa: PLR2004


def _page(
    said: str, samples: Sequence[Sample], verdicts: Sequence[growth.Verdict], wrong: Sequence[str], sent: int
) -> str:
    first, last = samples[0], samples[-1]
    columns = ("what", "unit", "second fifth", "last fifth", "at most", "held")
    rows = [
        (
            verdict.quantity.name,
            verdict.quantity.unit,
            *(_number(value) for value in (verdict.before, verdict.after, verdict.limit)),
            "yes" if verdict.held else "**no**",
        )
        for verdict in verdicts
    ]
    most = [f"`{name}` {before:.1f} to {after:.1f}" for name, before, after in growth.grown(samples)[:3]]
    found = "\n".join(f"* {sentence}" for sentence in wrong)
    return f"""## A long day

{said}, on {machine.description()}: {sent:,} events sent, {last.events:,} recorded.

{report.table(columns, rows)}

Medians of {len(growth.fifths(samples)[0])} samples each. Workers are the processes that functions run in; those of
these functions grew most, in MB: {", ".join(most)}. The local cloud keeps everything in memory, so that its own grows
with what is recorded, here from {first.cloud:,.0f} to {last.cloud:,.0f} MB: it is shown, and not judged.

![memory, queues and latencies, minute by minute]({PICTURE.name})

{found or _GOOD}
"""

"""Send mixed traffic for a long time: resource use must not grow, and every event must be processed."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError

from chaos import report, soak_report
from chaos.charts import draw
from chaos.growth import Comparison, compare
from chaos.sampling import Sampler
from chaos.tracking import ADMIT, DeliveryTracker
from chaos.traffic import Producer, Traffic
from daybook.contracts.identity import admitted_id
from daybook.local.errors import LocalRunError
from daybook.local.project import ROOT, private
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.index import Selection, dead_letters
from daybook.operate.idle import wait_until_idle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from chaos.checker.snapshot import Sent
    from chaos.sampling import Sample
    from daybook.local.cloud import Cloud
    from daybook.local.progress import Progress
    from daybook.operate.dead_letters.index import DeadLetter

RATE = 1.0
"""Orders, readings and transactions per second, each. Two cores can process several times as much."""
PICTURE = ROOT / "docs" / "soak.svg"

_SCALE = 1000  # devices and accounts as for this many orders, however long the run takes
_MIN_INTERVAL, _MAX_SAMPLES = 2.0, 360  # seconds between two samples; longer in a long run, which needs no more samples
_MIN_SAMPLES = 10  # two in each fifth
_MISSED = 0.05  # this share of the samples may be missing because the cloud did not answer
_RESTOCK = 100  # orders between two deliveries of stock
_IDLE_TIMEOUT = timedelta(minutes=10)
_SHOWN = 10  # at most, of similar problems


class TooShort(LocalRunError):
    """The run is too short to measure growth. Choose a longer one."""

    exit_code = 2

    def __init__(self, minutes: float) -> None:
        least = _MIN_SAMPLES * _MIN_INTERVAL / 60
        super().__init__(f"{minutes:g} minutes are too short to measure growth. Use at least --minutes {least:.1f}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a run. `problems` are sentences about events that were not processed as expected."""

    seed: int
    rate: float  # per second
    sent: int  # events
    samples: Sequence[Sample]
    comparisons: Sequence[Comparison]
    problems: Sequence[str]

    @property
    def passed(self) -> bool:
        """Whether no quantity grew and there are no problems."""
        return all(comparison.passed for comparison in self.comparisons) and not self.problems


def run(progress: Progress, *, seed: int, minutes: float, rate: float = RATE) -> bool:
    """Send traffic at this rate for this time; write the report and its picture.

    Each sample is also written to `.daybook/soak.jsonl` at once. Returns whether the run passed. Raises TooShort.
    """
    result = measure(progress, seed=seed, minutes=minutes, rate=rate, samples_file=private(ROOT) / "soak.jsonl")
    with progress.step(f"drawing {PICTURE.relative_to(ROOT)}"):
        draw(result.samples, PICTURE)
    report.write("soak", soak_report.page(result, PICTURE.name))
    for comparison in result.comparisons:
        progress.say(f"  {'passed' if comparison.passed else 'HAS GROWN'}: {soak_report.line(comparison)}")
    for sentence in result.problems:
        progress.say(f"  {sentence}")
    progress.say("The run passed." if result.passed else "The run failed.")
    return result.passed


def measure(progress: Progress, *, seed: int, minutes: float, rate: float, samples_file: Path) -> Result:
    """Send mixed traffic to a new system and sample it. Each sample is a line of `samples_file`. Raises TooShort."""
    if minutes * 60 < _MIN_SAMPLES * _MIN_INTERVAL:
        raise TooShort(minutes)
    with up(progress) as cloud:
        soak = _Soak(cloud, Traffic(seed, _SCALE), rate)
        with progress.step("sending initial stock and devices"):
            soak.send_initial_events()
        progress.say(f"{minutes:g} minutes with {rate:g} orders, readings and transactions per second, each:")
        samples = list(_printed(progress, _written(soak.run(minutes), samples_file)))
        with progress.step("waiting until the last events are processed"):
            problems = soak.problems()
    return Result(
        seed=seed,
        rate=rate,
        sent=soak.sent,
        samples=samples,
        comparisons=compare(samples),
        problems=problems + soak.missed,
    )


class _Soak:
    """One long run. It goes on if the cloud does not answer; missing samples are reported at the end."""

    def __init__(self, cloud: Cloud, traffic: Traffic, rate: float) -> None:
        self._cloud = cloud
        self._connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        self._traffic = traffic
        self._rate = rate
        self._producer = Producer(cloud)
        self._tracker = DeliveryTracker(self._connection)
        self._began = datetime.now(UTC)
        self._samples = self._missed = 0

    @property
    def sent(self) -> int:
        """The number of events put on the ingress bus."""
        return len(self._producer.sent)

    @property
    def missed(self) -> list[str]:
        """A problem, if too many samples are missing."""
        if self._missed <= self._samples * _MISSED:
            return []
        return [f"{self._missed} of {self._samples} samples are missing: the cloud did not answer in time"]

    def send_initial_events(self) -> None:
        """Send what the traffic needs, and wait until it is processed."""
        self._send(self._traffic.initial_events())
        self._wait_until_idle()

    def run(self, minutes: float) -> Iterator[Sample]:
        """Send traffic, and take samples at fixed times, however long each takes."""
        began = time.monotonic()
        sampler = Sampler(self._cloud, self._connection, self._tracker, began)
        every = max(_MIN_INTERVAL, minutes * 60 / _MAX_SAMPLES)
        number, sample = 0, 1
        while (now := time.monotonic()) < began + minutes * 60:
            due, sample_due = began + number / self._rate, began + sample * every
            if now >= sample_due:
                yield from self._sample(sampler)
                sample = int((now - began) / every) + 1
            elif now >= due:
                self._send(self._traffic.batch(number, number + 1))
                number += 1
                if number % _RESTOCK == 0:
                    self._send(self._traffic.restock(number // _RESTOCK))
            else:
                time.sleep(min(due, sample_due) - now)

    def problems(self) -> list[str]:
        """Wait until the system is idle. Returns a sentence for each event that was not processed as expected."""
        try:
            left = [f"still in flight after {_IDLE_TIMEOUT}: {one}" for one in self._wait_until_idle()[:_SHOWN]]
            if waiting := self._tracker.poll().open:
                left.append(f"{waiting} deliveries have not ended according to the ledger")
            sent = {self._id(event): event for event in self._producer.sent}
            return (
                left + list(unexpected_dead_letters(sent, list(dead_letters(self._connection, Selection()))))[:_SHOWN]
            )
        except (BotoCoreError, OSError) as error:
            return [f"the cloud did not answer the final checks: {error}"]

    def _sample(self, sampler: Sampler) -> Iterator[Sample]:
        self._samples += 1
        try:
            sample, shipped = sampler.take(), self._tracker.shipped()
        except (BotoCoreError, OSError):
            self._missed += 1
            return
        yield sample
        self._send(self._traffic.shipments(shipped))

    def _wait_until_idle(self) -> Sequence[object]:
        # The functions' clocks may be a little ahead of ours.
        return wait_until_idle(self._connection, self._began, datetime.now(UTC) + _IDLE_TIMEOUT)

    def _send(self, events: Iterable[Sent]) -> None:
        several, now = list(events), datetime.now(UTC)
        for event in several:
            self._tracker.track(self._id(event), event, now)
        self._producer.send(several)

    def _id(self, sent: Sent) -> str:
        return admitted_id(self._connection.account, sent.source, sent.producer_id)


def unexpected_dead_letters(sent: Mapping[str, Sent], dead: Sequence[DeadLetter]) -> Iterator[str]:
    """Sentences on unexpected dead letters, and on expected ones that are missing. `sent` is by event id."""
    for dead_letter in dead:
        expected = sent[dead_letter.event].allowed_errors if dead_letter.event in sent else frozenset[str]()
        if dead_letter.consumer != ADMIT or dead_letter.error not in expected:
            where = f"{dead_letter.type} {dead_letter.event} is dead at {dead_letter.consumer}"
            yield f"{where}: {dead_letter.error}, {dead_letter.reason}"
    rejected = {dead_letter.event for dead_letter in dead if dead_letter.consumer == ADMIT}
    for event_id, event in sent.items():
        if not event.may_be_admitted and event_id not in rejected:
            yield f"{event.type} {event_id} should have been rejected, but was not"


def _written(samples: Iterable[Sample], samples_file: Path) -> Iterator[Sample]:
    """Write each sample to the file at once."""
    with samples_file.open("w", encoding="utf-8") as file:
        for sample in samples:
            file.write(f"{json.dumps(asdict(sample))}\n")
            file.flush()
            yield sample


def _printed(progress: Progress, samples: Iterable[Sample]) -> Iterator[Sample]:
    """Print a line each minute."""
    printed = 0
    for sample in samples:
        if sample.minutes >= printed + 1:
            printed = int(sample.minutes)
            progress.say(f"  {printed:3} min  {soak_report.moment(sample)}")
        yield sample

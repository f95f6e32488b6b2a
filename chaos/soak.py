"""Mixed traffic for a long time: nothing grows that should not, and all of it comes to its end."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError

from chaos import report, soak_report
from chaos.following import ADMIT, Follower
from chaos.judging import Verdict, judged
from chaos.plot import draw
from chaos.samples import Sampler
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

    from chaos.checker.world import Sent
    from chaos.samples import Sample
    from daybook.local.cloud import Cloud
    from daybook.local.progress import Progress
    from daybook.operate.dead_letters.index import DeadLetter

RATE = 1.0
"""Orders, readings and transactions a second, each: two cores bear several times as much."""
PICTURE = ROOT / "docs" / "soak.svg"

_WORLD = 1000  # devices and accounts as for so many orders, however long it lasts
_SHORTEST, _MOST_SAMPLES = 2.0, 360  # seconds between two looks; longer in a long run: a picture shows no more
_FEWEST_SAMPLES = 10  # two in each fifth
_MISSED = 0.05  # of the looks may get no answer: what is not seen is not known
_RESTOCK = 100  # orders between two deliveries of goods
_PATIENCE = timedelta(minutes=10)  # until all has come to its end
_SHOWN = 10  # of what is the same


class TooShort(LocalRunError):
    """So short a run says nothing of what grows. Let it last longer."""

    exit_code = 2

    def __init__(self, minutes: float) -> None:
        least = _FEWEST_SAMPLES * _SHORTEST / 60
        super().__init__(f"{minutes:g} minutes say nothing of what grows. Let it last longer: --minutes {least:.1f}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run has shown. `wrong` are sentences on what has not come to its end, or to another than it should."""

    seed: int
    rate: float  # a second
    sent: int  # events
    samples: Sequence[Sample]
    verdicts: Sequence[Verdict]
    wrong: Sequence[str]

    @property
    def held(self) -> bool:
        """Whether nothing has grown that should not, and all has come to its end."""
        return all(verdict.held for verdict in self.verdicts) and not self.wrong


def run(progress: Progress, *, seed: int, minutes: float, rate: float = RATE) -> bool:
    """Send so many orders, readings and transactions a second, for so long; write the report and its picture.

    Each sample also goes to `.daybook/soak.jsonl`, as it is taken. Returns whether all held. Raises TooShort.
    """
    result = measured(progress, seed=seed, minutes=minutes, rate=rate, notes=private(ROOT) / "soak.jsonl")
    with progress.step(f"drawing {PICTURE.relative_to(ROOT)}"):
        draw(result.samples, PICTURE)
    report.write("soak", soak_report.page(result, PICTURE.name))
    for verdict in result.verdicts:
        progress.say(f"  {'held' if verdict.held else 'HAS GROWN'}: {soak_report.line(verdict)}")
    for sentence in result.wrong:
        progress.say(f"  {sentence}")
    progress.say("All held." if result.held else "Not all held.")
    return result.held


def measured(progress: Progress, *, seed: int, minutes: float, rate: float, notes: Path) -> Result:
    """Send mixed traffic to a system of its own, and watch it. `notes` gets a line for each look. Raises TooShort."""
    if minutes * 60 < _FEWEST_SAMPLES * _SHORTEST:
        raise TooShort(minutes)
    with up(progress) as cloud:
        soak = _Soak(cloud, Traffic(seed, _WORLD), rate)
        with progress.step("the morning: goods and devices"):
            soak.morning()
        progress.say(f"{minutes:g} minutes with {rate:g} orders, readings and transactions a second, each:")
        samples = list(_told(progress, _kept(soak.day(minutes), notes)))
        with progress.step("the last events come to their end"):
            wrong = soak.evening()
    return Result(
        seed=seed, rate=rate, sent=soak.sent, samples=samples, verdicts=judged(samples), wrong=wrong + soak.missed
    )


class _Soak:
    """One long run. What got no answer is tried again, or told at the end: an hour is not to be lost for it."""

    def __init__(self, cloud: Cloud, traffic: Traffic, rate: float) -> None:
        self._cloud = cloud
        self._connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        self._traffic = traffic
        self._rate = rate
        self._producer = Producer(cloud)
        self._follower = Follower(self._connection)
        self._began = datetime.now(UTC)
        self._looks = self._missed = 0

    @property
    def sent(self) -> int:
        """How many events were put on the ingress bus."""
        return len(self._producer.sent)

    @property
    def missed(self) -> list[str]:
        """What to say, if too many looks got no answer."""
        if self._missed <= self._looks * _MISSED:
            return []
        return [f"{self._missed} of {self._looks} looks got no answer in time: what is not seen is not known"]

    def morning(self) -> None:
        """Send what there must be first, and wait until it is there."""
        self._send(self._traffic.morning())
        self._quiet()

    def day(self, minutes: float) -> Iterator[Sample]:
        """Send for so long, and look meanwhile, each at its time by the clock, however long the one before took."""
        began = time.monotonic()
        sampler = Sampler(self._cloud, self._connection, self._follower, began)
        every = max(_SHORTEST, minutes * 60 / _MOST_SAMPLES)
        number, turn = 0, 1
        while (now := time.monotonic()) < began + minutes * 60:
            due, look = began + number / self._rate, began + turn * every
            if now >= look:
                yield from self._look(sampler)
                turn = int((now - began) / every) + 1
            elif now >= due:
                self._send(self._traffic.lot(number, number + 1))
                number += 1
                if number % _RESTOCK == 0:
                    self._send(self._traffic.restock(number // _RESTOCK))
            else:
                time.sleep(min(due, look) - now)

    def evening(self) -> list[str]:
        """Wait until nothing is under way. Returns what has not come to its end, or to a bad one, in sentences."""
        try:
            left = [f"still under way after {_PATIENCE}: {one}" for one in self._quiet()[:_SHOWN]]
            if waiting := self._follower.look().open:
                left.append(f"{waiting} deliveries of what was sent have come to no end by the ledger")
            sent = {self._id(event): event for event in self._producer.sent}
            return left + list(wrongly_dead(sent, list(dead_letters(self._connection, Selection()))))[:_SHOWN]
        except (BotoCoreError, OSError) as error:
            return [f"the cloud gave no answer when all was to be looked at: {error}"]

    def _look(self, sampler: Sampler) -> Iterator[Sample]:
        self._looks += 1
        try:
            sample, shipped = sampler.take(), self._follower.shipped()
        except (BotoCoreError, OSError):
            self._missed += 1
            return
        yield sample
        self._send(self._traffic.parcels(shipped))

    def _quiet(self) -> Sequence[object]:
        # What the functions recorded a moment ago by their clocks was recorded since we began by ours.
        return wait_until_idle(self._connection, self._began, datetime.now(UTC) + _PATIENCE)

    def _send(self, events: Iterable[Sent]) -> None:
        several, now = list(events), datetime.now(UTC)
        for event in several:
            self._follower.follow(self._id(event), event, now)
        self._producer.send(several)

    def _id(self, sent: Sent) -> str:
        return admitted_id(self._connection.account, sent.source, sent.producer_id)


def wrongly_dead(sent: Mapping[str, Sent], dead: Sequence[DeadLetter]) -> Iterator[str]:
    """What is dead and was not sent to be, and what was sent to be and is not. `sent` is by the ids of events."""
    for letter in dead:
        meant = sent[letter.event].refused if letter.event in sent else frozenset[str]()
        if letter.consumer != ADMIT or letter.error not in meant:
            yield f"{letter.type} {letter.event} is dead at {letter.consumer}: {letter.error}, {letter.reason}"
    refused = {letter.event for letter in dead if letter.consumer == ADMIT}
    for event_id, event in sent.items():
        if not event.taken and event_id not in refused:
            yield f"{event.type} {event_id} was sent to be refused, and was not"


def _kept(samples: Iterable[Sample], notes: Path) -> Iterator[Sample]:
    """Write each down at once."""
    with notes.open("w", encoding="utf-8") as file:
        for sample in samples:
            file.write(f"{json.dumps(asdict(sample))}\n")
            file.flush()
            yield sample


def _told(progress: Progress, samples: Iterable[Sample]) -> Iterator[Sample]:
    """A line each minute."""
    told = 0
    for sample in samples:
        if sample.minutes >= told + 1:
            told = int(sample.minutes)
            progress.say(f"  {told:3} min  {soak_report.moment(sample)}")
        yield sample

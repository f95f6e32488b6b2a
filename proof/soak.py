"""Mixed traffic for a long time: nothing grows that should not, and all of it comes to its end.

The local cloud keeps all that was ever recorded in its memory, so its own memory grows with the number of events, by
its nature; it is shown, and not judged.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.machine import description
from local.project import ROOT
from local.system import STAGE, up
from ops.connection import Connection
from ops.quiet import wait_until_quiet
from proof.following import Follower
from proof.judging import TooShort, judged
from proof.plot import draw
from proof.report import table, write
from proof.samples import Sampler
from proof.traffic import Producer, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from local.cloud import Cloud
    from local.progress import Progress
    from proof.checker.world import Sent
    from proof.judging import Judgement
    from proof.samples import Sample

RATE = 1.0
"""Orders, readings and transactions a second, each: two cores bear several times as much."""
PICTURE = ROOT / "docs" / "soak.svg"

_WORLD = 1000  # as large as for so many orders, however long it lasts
_SAMPLE = 5.0  # seconds between two looks
_TOLD = 12  # looks between two lines of progress
_RESTOCK = 100  # orders between two deliveries of goods
_PATIENCE = 300.0  # seconds for the last events to come to their end
# What was sent to be refused; nothing else may be dead at the end.
_MEANT = frozenset({"ContractBroken", "StreamAlreadyOpen"})


@dataclass(frozen=True)
class Result:
    """What a run has shown. `left` is what had not come to its end, `dead` what should not be dead."""

    seed: int
    rate: float
    samples: Sequence[Sample]
    judgements: Sequence[Judgement]
    left: Sequence[str]
    dead: Sequence[str]

    @property
    def held(self) -> bool:
        """Whether nothing has grown, and all has come to its end."""
        return all(judgement.held for judgement in self.judgements) and not self.left and not self.dead


def run(progress: Progress, *, seed: int, minutes: float, rate: float = RATE) -> bool:
    """Send mixed traffic for so long; write the report and its picture. Returns whether all held."""
    try:
        result = measured(progress, seed=seed, minutes=minutes, rate=rate)
    except TooShort as short:
        progress.say(str(short))
        return False
    draw(result.samples, PICTURE)
    write("soak", _page(result))
    for judgement in result.judgements:
        figure = judgement.figure
        verdict = "held" if judgement.held else "HAS GROWN"
        progress.say(f"  {verdict}: {figure.name}: {judgement.early:.3g}, then {judgement.late:.3g} {figure.unit}")
    for what in (*result.left, *result.dead):
        progress.say(f"  {what}")
    return result.held


def measured(progress: Progress, *, seed: int, minutes: float, rate: float = RATE) -> Result:
    """Send mixed traffic to a system of its own, and watch it. Raises TooShort."""
    with up(progress) as cloud:
        soak = _Soak(cloud, Connection(STAGE, cloud.session(), endpoint=cloud.endpoint), Traffic(seed, _WORLD))
        with progress.step("the morning: goods and devices"):
            soak.morning()
        samples = []
        for sample in soak.day(minutes, rate):
            samples.append(sample)
            if len(samples) % _TOLD == 0:
                progress.say(f"  {_line(sample)}")
        with progress.step("the last events come to their end"):
            left = soak.left()
        return Result(seed, rate, samples, judged(samples), left, soak.dead())


class _Soak:
    """One long run."""

    def __init__(self, cloud: Cloud, connection: Connection, traffic: Traffic) -> None:
        self._cloud = cloud
        self._connection = connection
        self._traffic = traffic
        self._producer = Producer(cloud)
        self._follower = Follower(connection)
        self._began = datetime.now(UTC)

    def morning(self) -> None:
        """What there must be first."""
        self._send(self._traffic.morning())

    def day(self, minutes: float, rate: float) -> Iterator[Sample]:
        """Send at this rate for so long, and look every few seconds, both by the clock."""
        began = time.monotonic()
        sampler = Sampler(self._cloud, self._connection, self._follower, began)
        end = began + minutes * 60
        number, looks = 0, 1
        while (now := time.monotonic()) < end:
            due, look = began + number / rate, began + looks * _SAMPLE
            if now >= look:
                yield sampler.take()
                looks = int((time.monotonic() - began) / _SAMPLE) + 1
                self._send(self._traffic.parcels(self._follower.shipped()))
            elif now >= due:
                self._send(self._traffic.lot(number, number + 1))
                number += 1
                if number % _RESTOCK == 0:
                    self._send(self._traffic.restock(number // _RESTOCK))
            else:
                time.sleep(min(due, look) - now)

    def left(self) -> list[str]:
        """Wait until all has come to its end. What has not."""
        deadline = datetime.fromtimestamp(time.time() + _PATIENCE, UTC)
        return [str(one) for one in wait_until_quiet(self._connection, self._began, deadline)]

    def dead(self) -> list[str]:
        """What is dead, and was not sent to be."""
        pages = self._connection.dynamodb.get_paginator("scan").paginate(
            TableName=self._connection.names.ledger, IndexName="dead"
        )
        items = [item for page in pages for item in page["Items"]]
        return [
            f"{item['event']['S']} is dead at {item['consumer']['S']}: {item['error']['S']}"
            for item in items
            if item["error"]["S"] not in _MEANT
        ]

    def _send(self, events: Iterable[Sent]) -> None:
        several, now = list(events), datetime.now(UTC)
        for event in several:
            self._follower.follow(event, now)
        self._producer.send(several)


def _line(sample: Sample) -> str:
    slow = f"{sample.slow:.2f} s" if sample.slow is not None else "-"
    return (
        f"{sample.minutes:5.1f} min  {sample.events:7,} events  {sample.messages:4} messages  99 of 100 within {slow}  "
        f"{sample.workers} processes, {sample.ordinary:.0f} MB each, the largest {sample.largest:.0f} MB; "
        f"processor {sample.processor:.0f} %"
    )


def _page(result: Result) -> str:
    return "\n\n".join(_paragraphs(result))


def _paragraphs(result: Result) -> Iterator[str]:
    last, each = result.samples[-1], f"{result.rate:g}"
    yield "## Soak"
    yield (
        f"{last.minutes:.0f} minutes with {each} orders, {each} readings and {each} transactions a second, seed "
        f"{result.seed}, on {datetime.now(UTC):%Y-%m-%d}; {last.events:,} events were recorded. "
        f"Machine: {description()}."
    )
    grown = "Something has grown" if any(not judgement.held for judgement in result.judgements) else "Nothing has grown"
    ended = "not everything has come to its end" if result.left or result.dead else "everything has come to its end"
    yield f"**{grown} that should not, and {ended}.**"
    yield table(
        ("medians", "in the second fifth", "in the last fifth", "at most", "held"),
        [
            (
                f"{judgement.figure.name}{f', {judgement.figure.unit}' if judgement.figure.unit else ''}",
                f"{judgement.early:.3g}",
                f"{judgement.late:.3g}",
                f"{judgement.limit:.3g}",
                "yes" if judgement.held else "**no**",
            )
            for judgement in result.judgements
        ],
    )
    yield "![Memory, latencies, queues and processes over the minutes](soak.svg)"
    yield (
        "The local cloud keeps all that was ever recorded in its memory, so its own memory grows with that "
        f"({last.cloud:,.0f} MB at the end). It is no part of what is deployed."
    )
    if result.left or result.dead:
        yield "\n".join(f"- {what}" for what in (*result.left[:10], *result.dead[:10]))

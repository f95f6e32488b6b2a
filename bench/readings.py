"""How many device reports per second the whole system processes, and an ordered consumer compared with a plain one."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.commits import TIMEOUT, ends, put
from bench.flow import Flow, NotIdle
from bench.targets import Target
from daybook.contracts import clock
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from events.equipment import EquipmentRegistered, EquipmentStatusReported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daybook.local.progress import Progress

# Two consumers of the same events: an ordered one and a plain one.
ORDERED, PLAIN = "raise-alarm", "track-equipment"
_DEVICES = 50
_WARM_UP = 20  # reports


def measure(progress: Progress, *, reports: int, rounds: int) -> list[Target]:
    """Send bursts of reports; then let each of the two consumers alone process its waiting messages, in turn."""
    with up(progress) as cloud:
        ward = _Ward(Connection(STAGE, cloud.session(), endpoint=cloud.endpoint))
        with progress.step("registering devices, and warming up"):
            ward.register()
            ward.burst(_WARM_UP)
        whole: list[float] = []
        rates: dict[str, list[float]] = {ORDERED: [], PLAIN: []}
        with progress.step(f"sending {2 * rounds} bursts of {reports} reports of {_DEVICES} devices"):
            for number in range(rounds):
                whole.append(reports / ward.burst(reports))
                first, second = (ORDERED, PLAIN) if number % 2 else (PLAIN, ORDERED)
                for consumer, seconds in ward.in_turns(reports, first, second).items():
                    rates[consumer].append(reports / seconds)
    progress.say(f"  whole system  {_text(whole)} reports per second, each admitted, published, and processed by both")
    for consumer, figures in rates.items():
        kind = "ordered" if consumer == ORDERED else "plain"
        progress.say(f"  {kind:<12}  {_text(figures)} reports per second, {consumer} alone")
    return [
        Target("reports per second, ordered to plain", median(rates[ORDERED]) / median(rates[PLAIN]), minimum=0.5),
    ]


def _text(figures: list[float]) -> str:
    return f"{median(figures):6.1f} ({min(figures):.1f} to {max(figures):.1f})"


@dataclass
class _Ward:
    """A ward of monitors, and the stage to which they report."""

    connection: Connection

    def register(self) -> None:
        """Register all devices."""
        Flow(self.connection).send(EquipmentRegistered, [{"device_id": device} for device in _devices()])

    def burst(self, reports: int) -> float:
        """Send reports, and wait until both consumers have committed them. Returns the seconds."""
        began = datetime.now(UTC)
        ids = self._send(reports)
        return (max(ends(self.connection, ids, ORDERED, PLAIN)) - began).total_seconds()

    def in_turns(self, reports: int, *consumers: str) -> dict[str, float]:
        """Send reports, and let each consumer process them alone. Returns the seconds of each."""
        with self._paused(consumers) as go:
            ids = self._send(reports)
            self._wait_for_queues(reports, consumers)
            seconds = {}
            for consumer in consumers:
                began = datetime.now(UTC)
                go(consumer)
                seconds[consumer] = (max(ends(self.connection, ids, consumer)) - began).total_seconds()
        return seconds

    def _send(self, reports: int) -> set[str]:
        """Put reports on the ingress bus, one second apart for each device. Returns the events' ids."""
        devices, now = _devices(), datetime.now(UTC) - timedelta(seconds=60)
        source, *_ = EquipmentStatusReported.contract.sources
        entries = [
            {
                "Source": source,
                "DetailType": EquipmentStatusReported.contract.type,
                "Detail": {
                    "metadata": {"id": uuid.uuid4().hex},
                    "data": {
                        **EquipmentStatusReported.example,
                        "device_id": devices[number % _DEVICES],
                        "measured_at": clock.timestamp(now + timedelta(seconds=number // _DEVICES)),
                    },
                },
            }
            for number in range(reports)
        ]
        return put(self.connection, entries)

    def _wait_for_queues(self, reports: int, consumers: tuple[str, ...]) -> None:
        """Wait until all reports are in the queues of both consumers."""
        name = "ApproximateNumberOfMessages"
        deadline = datetime.now(UTC) + TIMEOUT
        urls = [self.connection.sqs.get_queue_url(QueueName=self.connection.names.of(c))["QueueUrl"] for c in consumers]
        while any(
            int(self.connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])
            < reports
            for url in urls
        ):
            if datetime.now(UTC) > deadline:
                msg = f"the reports were not all delivered after {TIMEOUT}"
                raise NotIdle(msg)
            time.sleep(0.2)

    @contextmanager
    def _paused(self, consumers: tuple[str, ...]) -> Iterator[Any]:
        """In the block, each consumer is paused until `go` is called for it. Afterwards all are resumed."""
        lambda_ = self.connection.lambda_
        mappings = {}
        for consumer in consumers:
            found = lambda_.list_event_source_mappings(FunctionName=self.connection.names.of(consumer))
            mappings[consumer] = found["EventSourceMappings"][0]["UUID"]

        def go(consumer: str) -> None:
            lambda_.update_event_source_mapping(UUID=mappings[consumer], Enabled=True)

        for mapping in mappings.values():
            lambda_.update_event_source_mapping(UUID=mapping, Enabled=False)
        try:
            yield go
        finally:
            for consumer in consumers:
                go(consumer)


def _devices() -> list[str]:
    return [f"MON-{number}" for number in range(_DEVICES)]

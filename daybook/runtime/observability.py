"""Logs (one JSON line for each delivery) and metrics (in CloudWatch's embedded metric format).

Neither contains an event's data, which may be personal: many people can read logs. Ids and streams are in logs; a line
never contains a card number.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from daybook.contracts.card_numbers import has_card_number
from daybook.contracts.card_search import removed_from

NAMESPACE = "Daybook"

# The names of the metrics: each is read by an alarm or by the stage's dashboard (daybook/constructs/alarms.py,
# dashboard.py). All consumers of a stage add up to one metric; its log line has the consumer's name as `service`.
AGE = "EventAge"  # milliseconds from recording to commit
COMMITTED = "Committed"
FAILED = "Failed"
NEWER_VERSION = "NewerVersion"
FORGED = "Forged"  # messages about events that are not in the store, and rows of the ledger that nobody has proven
DEAD_LETTERS_RECORDED = "DeadLettersRecorded"
NOT_RECORDED = "NotRecorded"  # dead letters that could not be recorded, and queues that could not be read
WAITING = "Waiting"  # consumers with messages that wait too long
PAUSED_TOO_LONG = "PausedTooLong"  # consumers whose messages SQS will soon delete
ADMITTED = "Admitted"
REJECTED = "Rejected"
PUBLISHED = "Published"
TAMPERED = "Tampered"
NOT_PROVEN = "NotProven"
FIRED = "Fired"
BREAKER_OPEN = "BreakerOpen"  # once when a circuit breaker opens, and each minute while it is open
LATENESS = "Lateness"  # milliseconds from a timer's scheduled time to the recording of its event


@cache
def logger(consumer: str) -> Logger:
    """The consumer's logger. Pass the fields of a delivery with each line, so that none leaks into the next delivery.

    Lines have no `location`: for an error it would be the line that logs it, and `error_location` is where it arose.
    """
    return Logger(service=consumer, use_rfc3339=True, serialize_stacktrace=False, location=None, json_serializer=_line)


def _line(fields: Mapping[str, Any]) -> str:
    line = json.dumps(fields, default=str, separators=(",", ":"), ensure_ascii=False)
    return removed_from(line) if has_card_number(line) else line


_lock = Lock()  # all instances of Metrics share what they collect, and threads add to it


@dataclass(frozen=True, slots=True)
class Counts:
    """The metrics of one consumer. They are emitted by `flush`, as one log line."""

    consumer: str
    metrics: Metrics

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count."""
        self._add(name, MetricUnit.Count, number)

    def record(self, name: str, milliseconds: float) -> None:
        """Record a duration."""
        self._add(name, MetricUnit.Milliseconds, milliseconds)

    def flush(self) -> None:
        """Emit the metrics, if there are any."""
        if self.metrics.metric_set:
            self.metrics.flush_metrics()

    def _add(self, name: str, unit: MetricUnit, value: float) -> None:
        with _lock:
            self.metrics.add_metadata(key="service", value=self.consumer)  # before: Powertools prints each 100 values
            self.metrics.add_metric(name=name, unit=unit, value=value)


@cache
def counts(stage: str, consumer: str) -> Counts:
    """The consumer's metrics. Their only dimension is the stage: each combination of dimensions costs as a metric of
    its own.
    """
    made = Metrics(namespace=NAMESPACE)
    made.set_default_dimensions(stage=stage)
    return Counts(consumer, made)

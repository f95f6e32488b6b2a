"""Logs (one JSON line for each delivery) and metrics (in CloudWatch's embedded metric format).

Neither contains an event's data, which may be personal: many people can read logs. Ids and streams are in logs; a line
never contains a card number.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from daybook.contracts.card_numbers import has_card_number
from daybook.contracts.card_search import removed_from

NAMESPACE = "Daybook"

# The names of the metrics. The functions emit them, and alarms use them.
AGE = "EventAge"  # milliseconds from recording to commit
COMMITTED = "Committed"
DUPLICATES = "Duplicates"
CONFLICTS = "Conflicts"  # reruns of a body or a transaction because of concurrent writes
FAILED = "Failed"
RETRIED_LATER = "RetriedLater"  # the event arrived before an event that it needs, or needs newer code
NEWER_VERSION = "NewerVersion"
FORGED = "Forged"  # messages about events that are not in the store, and rows of the ledger that nobody has proven
DEAD_LETTERS_RECORDED = "DeadLettersRecorded"
ADMITTED = "Admitted"
REJECTED = "Rejected"
PUBLISHED = "Published"
SET_ASIDE = "SetAside"
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


@cache
def metrics(stage: str, consumer: str) -> Metrics:
    """The consumer's metrics, with stage and consumer as dimensions. The caller must flush them."""
    made = Metrics(namespace=NAMESPACE, service=consumer)
    made.set_default_dimensions(stage=stage)
    return made


def count(to: Metrics, name: str, number: int = 1) -> None:
    """Add to a count."""
    to.add_metric(name=name, unit=MetricUnit.Count, value=number)


def record_age(to: Metrics, milliseconds: float) -> None:
    """Record the age of a committed event: the time since it was recorded."""
    to.add_metric(name=AGE, unit=MetricUnit.Milliseconds, value=milliseconds)


def record_lateness(to: Metrics, milliseconds: float) -> None:
    """Record how late a timer was fired."""
    to.add_metric(name=LATENESS, unit=MetricUnit.Milliseconds, value=milliseconds)


def flush(to: Metrics) -> None:
    """Emit the metrics, if there are any."""
    if to.metric_set:
        to.flush_metrics()

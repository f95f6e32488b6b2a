"""What a function tells of itself: one JSON line a delivery, and metrics in the embedded metric format.

Neither holds an event's data: they are about people, and logs are read by many.
"""

from functools import cache

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

NAMESPACE = "Daybook"

# The names of the metrics, for the code that writes them and the alarms that read them.
AGE = "EventAge"  # milliseconds from recording to commit
COMMITTED = "Committed"
DUPLICATES = "Duplicates"
CONFLICTS = "Conflicts"  # runs that others' writes made necessary, beyond the first
FAILED = "Failed"
WAITING = "Waiting"  # for what the event has overtaken, or for newer code
NEWER_VERSION = "NewerVersion"
BURIED = "Buried"
ADMITTED = "Admitted"
REFUSED = "Refused"
PUBLISHED = "Published"
SET_ASIDE = "SetAside"
TAMPERED = "Tampered"
FIRED = "Fired"
BREAKER_OPEN = "BreakerOpen"  # once when it opens, and each minute that it is
LATENESS = "Lateness"  # milliseconds from a timer's time to its event's recording


@cache
def logger(consumer: str) -> Logger:
    """The consumer's logger. Keys of one delivery are given line by line, so that none leaks into the next.

    No line says where it was logged: of an error that is no help, and `error_location` says where it arose.
    """
    return Logger(service=consumer, use_rfc3339=True, serialize_stacktrace=False, location=None)


@cache
def metrics(stage: str, consumer: str) -> Metrics:
    """The consumer's metrics, with stage and consumer as dimensions. Whoever adds to them flushes them."""
    made = Metrics(namespace=NAMESPACE, service=consumer)
    made.set_default_dimensions(stage=stage)
    return made


def count(to: Metrics, name: str, number: int = 1) -> None:
    """Add to a count."""
    to.add_metric(name=name, unit=MetricUnit.Count, value=number)


def age(to: Metrics, milliseconds: float) -> None:
    """Note how old an event was when it was done."""
    to.add_metric(name=AGE, unit=MetricUnit.Milliseconds, value=milliseconds)


def late(to: Metrics, milliseconds: float) -> None:
    """Note how late a timer was fired."""
    to.add_metric(name=LATENESS, unit=MetricUnit.Milliseconds, value=milliseconds)


def flush(to: Metrics) -> None:
    """Write out what was noted, if anything was."""
    if to.metric_set:
        to.flush_metrics()

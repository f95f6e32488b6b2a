"""Reads the status of a stage's consumers: waiting messages, dead letters, blocked streams, and what needs attention.

All of it is read once, in parallel. Counts of queues are SQS's approximations. Dead letters are read from an index,
which lags.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from daybook.backbone.waiting import ALLOWED_DELAY
from daybook.consumers.switch import BreakerState, Switch, Switches
from daybook.contracts import clock
from daybook.operate.connection import LOCAL, MAX_WAIT, Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.index import DeadLetter, Selection, dead_letters
from daybook.operate.moments import CLOCKS_DIFFER
from daybook.operate.queues import counts
from daybook.operate.reading import chunks, entries, lines_of
from daybook.operate.registered import KnownConsumers
from daybook.operate.subscriptions import Subscriptions
from daybook.operate.terminal import daybook
from daybook.runtime.mapping import EventSourceMapping, Mappings
from daybook.store.journal import JournalEntry, Span
from daybook.store.ledger import COMMITTED, TRYING
from daybook.store.limits import METRIC_QUERIES
from daybook.store.transaction import Backoff

# The functions of the backbone that have a status.
ADMIT, PUBLISH, RECORD_DEAD_LETTERS = "admit", "publish", "record-dead-letters"

WINDOW = timedelta(minutes=5)
# The number of events that are read if CloudWatch has no metrics.
_MAX_LINES = 1_000
_DEAD = "-dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The status of one consumer.

    `waiting`, `in_flight` and `delayed` count messages in its queue; `dead` counts dead letters, `on_the_way` those
    that record-dead-letters has not recorded yet, and `blocked` the streams blocked by dead letters. `oldest` is the
    age of the oldest message in seconds, `rate` the number of messages handled per minute; None if unknown. `mappings`
    are the states of its event source mappings. `last_error` is the error of an event that is being retried, or else of
    a dead letter. `lag`, of publish only: milliseconds from recording to publishing.
    """

    consumer: str
    kind: str = ""
    waiting: int = 0
    in_flight: int = 0
    delayed: int = 0
    dead: int = 0
    on_the_way: int = 0
    blocked: int = 0
    oldest: float | None = None
    rate: float | None = None
    lag: float | None = None
    last_error: str = ""
    mappings: tuple[str, ...] = ()
    switch: Switch = field(default_factory=lambda: Switch(consumer=""))
    breaker: BreakerState = BreakerState.CLOSED

    @property
    def idle(self) -> bool:
        """Whether no message waits or is processed, and nothing needs attention."""
        switched = any(state != "Enabled" for state in self.mappings)
        busy = self.waiting or self.in_flight or self.delayed or self.rate
        return not (self.needs or busy or switched or self.last_error)

    @property
    def needs(self) -> list[str]:
        """What needs attention, the most urgent first."""
        switched_off = any(state in {"Disabled", "Disabling"} for state in self.mappings)
        needs = {
            "breaker": self.breaker is not BreakerState.CLOSED,
            "paused": bool(self.switch.paused),
            "off": switched_off and not self.switch.paused and not self.switch.off,
            "dead": bool(self.dead),
            "record-dead-letters": self.on_the_way and self.consumer == RECORD_DEAD_LETTERS,
            "old": self.oldest is not None and self.oldest >= ALLOWED_DELAY,
        }
        return [need for need, is_there in needs.items() if is_there]


def status(connection: Connection, wanted: Collection[str] = ()) -> list[Status]:
    """The status of the consumers and of backbone functions; those that need attention first. `wanted`: only these.

    Raises botocore's errors.
    """
    now = datetime.now(UTC)
    _ = connection.dynamodb, connection.sqs, connection.lambda_, connection.eventbridge, connection.journal
    parts: Sequence[Callable[[], Any]] = (
        lambda: consumers(connection),
        lambda: _switches(connection),
        lambda: Mappings(connection.lambda_, connection.names).all(),
        lambda: list(dead_letters(connection, Selection())),
        lambda: counts(connection),
    )
    known, switches, mappings, dead, queues = connection.each(lambda part: part(), parts)
    names = [name for name in (*known, ADMIT, PUBLISH, RECORD_DEAD_LETTERS) if not wanted or name in wanted]
    numbers = _Numbers.of(connection, names, now)
    found = [
        _status(name, known.get(name), {s.consumer: s for s in switches}, mappings, queues, numbers, now)
        for name in names
    ]
    found = [
        _with_dead_letters(each, known, [dead_letter for dead_letter in dead if dead_letter.consumer == each.consumer])
        for each in found
    ]
    return sorted(found, key=lambda each: (not each.needs, -len(each.needs), -each.dead, -each.waiting, each.consumer))


def _switches(connection: Connection) -> list[Switch]:
    known, backoff = KnownConsumers.of(connection).types, Backoff(lambda: MAX_WAIT)
    return list(Switches(connection.dynamodb, connection.names.ledger).find_all(known, backoff))


def next_steps(found: Iterable[Status], stage: str) -> list[str]:
    """The next steps for everything that needs attention, without duplicates."""
    steps: dict[str, None] = {}
    for each in found:
        for need in each.needs:
            steps[_step(need, each.consumer, stage)] = None
    return list(steps)


def _step(need: str, consumer: str, stage: str) -> str:
    match need:
        case "breaker":
            trouble = "the external system does not answer. It is tried again automatically; check that system"
            return f"{consumer}: {trouble}"
        case "paused":
            return daybook("resume", consumer, stage=stage)
        case "off":
            return f"{consumer} is off but not paused: {daybook('resume', consumer, stage=stage)}"
        case "dead":
            return daybook("dead", stage=stage)
        case "record-dead-letters":
            return "dead letters wait for record-dead-letters: check its log"
        case _:
            return f"{consumer} fails or is too slow: check its log"


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Measurements by consumer: age of the oldest message in seconds, committed per minute, errors; and the lag."""

    oldest: Mapping[str, float]
    rate: Mapping[str, float]
    errors: Mapping[str, tuple[str, str]]
    lag: float | None = None

    @classmethod
    def of(cls, connection: Connection, names: Sequence[str], now: datetime) -> "_Numbers":
        from_journal = _from_journal(connection, now)
        if connection.stage == LOCAL:
            return from_journal
        measured = _from_cloudwatch(connection, names, now)
        if not measured.oldest and not measured.rate:
            return replace(from_journal, lag=measured.lag)
        return replace(measured, errors=from_journal.errors)


def _status(
    name: str,
    known: Consumer | None,
    switches: Mapping[str, Switch],
    mappings: Mapping[str, Sequence[EventSourceMapping]],
    queues: Mapping[str, Mapping[str, int]],
    numbers: _Numbers,
    now: datetime,
) -> Status:
    switch = switches.get(name, Switch(consumer=name))
    own = queues.get(name, {})
    carried = queues.get(name + _DEAD, {})
    if name == RECORD_DEAD_LETTERS:  # it reads all dead-letter queues
        carried = Counter[str]()
        for each in (counted for queue, counted in queues.items() if queue.endswith(_DEAD)):
            carried.update(each)
    busy = any(own.values())
    return Status(
        consumer=name,
        kind=known.kind if known else "backbone",
        waiting=own.get("waiting", 0),
        in_flight=own.get("in_flight", 0),
        delayed=own.get("delayed", 0),
        on_the_way=sum(carried.values()),
        oldest=numbers.oldest.get(name) if busy else None,
        rate=numbers.rate.get(name),
        lag=numbers.lag if name == PUBLISH else None,
        last_error=numbers.errors.get(name, ("", ""))[1],
        mappings=tuple(mapping.state for mapping in mappings.get(name, ())),
        switch=switch,
        breaker=switch.breaker(clock.timestamp(now)),
    )


def _with_dead_letters(status: Status, known: Mapping[str, Consumer], dead: Sequence[DeadLetter]) -> Status:
    if not dead:
        return status
    consumer = known.get(status.consumer)
    streams = (
        {dead_letter.stream for dead_letter in dead if dead_letter.stream} if consumer and consumer.ordered else set()
    )
    newest = max(dead, key=lambda dead_letter: dead_letter.at)
    return replace(status, dead=len(dead), blocked=len(streams), last_error=status.last_error or newest.error)


def _from_cloudwatch(connection: Connection, names: Sequence[str], now: datetime) -> _Numbers:
    """The metrics of the last minutes in CloudWatch, if there are any."""
    period = int(WINDOW.total_seconds())

    def query(number: int, what: str, namespace: str, metric: str, statistic: str, **dimensions: str) -> dict[str, Any]:
        named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        stat = {
            "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": named},
            "Period": period,
            "Stat": statistic,
        }
        return {"Id": f"{what}{number}", "MetricStat": stat}

    of, queries = connection.names.of, []
    for number, name in enumerate(names):
        queries.append(query(number, "oldest", "AWS/SQS", _AGE, "Maximum", QueueName=of(name)))
        queries.append(query(number, "rate", "AWS/SQS", _HANDLED, "Sum", QueueName=of(name)))
    queries.append(query(0, "lag", "AWS/Lambda", "IteratorAge", "Maximum", FunctionName=of(PUBLISH)))
    client = connection.client("cloudwatch")
    values: dict[str, float] = {}
    for some in chunks(queries, METRIC_QUERIES):
        pages = client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=some, StartTime=now - WINDOW, EndTime=now, ScanBy="TimestampDescending"
        )
        for result in chain.from_iterable(page["MetricDataResults"] for page in pages):
            if result["Values"]:
                values.setdefault(result["Id"], result["Values"][0])
    return _Numbers(
        oldest={name: values[f"oldest{n}"] for n, name in enumerate(names) if f"oldest{n}" in values},
        rate={name: values[f"rate{n}"] / (period / 60) for n, name in enumerate(names) if f"rate{n}" in values},
        errors={},
        lag=values.get("lag0"),
    )


_AGE = "ApproximateAgeOfOldestMessage"
_HANDLED = "NumberOfMessagesDeleted"


def _from_journal(connection: Connection, now: datetime) -> _Numbers:
    """The same numbers from the newest events and their ledger entries, with errors and their times."""
    lines, span = _newest(connection, now)
    pairs = Subscriptions.of(connection).deliveries(lines)
    rows = entries(connection, pairs)
    committed: Counter[str] = Counter()
    oldest: dict[str, str] = {}
    errors: dict[str, tuple[str, str]] = {}
    for pair, line in pairs.items():
        row, consumer = rows.get(pair), pair[1]
        if row and row.state == COMMITTED:
            committed[consumer] += 1
        elif row is None or row.state == TRYING:
            oldest[consumer] = min(oldest.get(consumer, line.recorded_at), line.recorded_at)
        # The error of a dead event is in its dead letter.
        if row and row.state == TRYING and row.failed_attempts:
            last = row.failed_attempts[-1]
            errors[consumer] = max(errors.get(consumer, ("", "")), (str(last["at"]), str(last["error"])))
    minutes = max((now - span.since).total_seconds(), 1) / 60
    return _Numbers(
        oldest={name: (now - clock.moment(at)).total_seconds() for name, at in oldest.items()},
        rate={name: number / minutes for name, number in committed.items()},
        errors=errors,
    )


def _newest(connection: Connection, now: datetime) -> tuple[list[JournalEntry], Span]:
    """The newest events of the last minutes, and their period."""
    span = Span(now - WINDOW, now + CLOCKS_DIFFER)
    lines = lines_of(connection, span)
    if len(lines) <= _MAX_LINES:
        return lines, span
    newest = lines[-_MAX_LINES:]
    return newest, Span(clock.moment(newest[0].recorded_at), span.until)

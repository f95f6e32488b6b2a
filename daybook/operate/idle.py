"""What is still under way in a stage, and waiting until nothing is.

sent = datetime.now(UTC)
...
left = wait_until_quiet(connection, since=sent, deadline=sent + timedelta(seconds=30), expected=ids)

`wait_until_quiet` looks at the whole stage: it says that nothing is in flight at all. `wait_until_done` looks only at
some events and what they have caused, which costs far fewer calls, and does not wait for other people's events.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

from daybook.contracts import clock
from daybook.operate.connection import Connection
from daybook.operate.moments import CLOCKS_DIFFER
from daybook.operate.subscriptions import Subscriptions, published_source
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.journal import Line, Span
from daybook.store.ledger import TRYING
from daybook.store.timers import DueTable, minute, slots

# DynamoDB's quota for one BatchGetItem.
_MOST_READS = 100
_MINUTE = timedelta(minutes=1)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds
_COUNTS = {
    "ApproximateNumberOfMessages": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}

T = TypeVar("T")
Pair = tuple[str, str]  # an event's id and a consumer


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A recorded event that a consumer subscribes to, and that has come to no end there by the ledger."""

    event: Line
    consumer: str


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """An event that should be in the journal and is not: sent and not admitted yet, or emitted a moment ago."""

    event_id: str


@dataclass(frozen=True, slots=True)
class Queued:
    """Messages in a queue: visible ones wait, those in flight are being handled or were, delayed ones come again."""

    queue: str
    visible: int
    in_flight: int
    delayed: int


@dataclass(frozen=True, slots=True)
class Overdue:
    """A timer whose time has come. The next sweep records its event; sweeps begin each minute."""

    stream: str
    time: str


Unsettled = Undelivered | Unrecorded | Queued | Overdue


def unsettled(connection: Connection, since: datetime, *, expected: Collection[str] = ()) -> list[Unsettled]:
    """All that is under way: of the events recorded since then, in the stage's queues, and of the timers that are due.

    `since` is by the clocks of the functions that record; give it some seconds where these and yours may differ.
    `expected` are ids of events that should have been recorded since then. Counts of queues are SQS's approximations;
    what has been put on the ingress bus and is in no queue yet is not seen, unless it is expected.
    """
    watch = _Watch(connection, since, expected)
    queued = watch.queued()  # first: what leaves a queue has left its trace in the ledger by then
    return [*watch.open(), *queued, *watch.overdue()]


def wait_until_quiet(
    connection: Connection,
    since: datetime,
    deadline: datetime,
    *,
    expected: Collection[str] = (),
    timers: bool = True,
) -> list[Unsettled]:
    """Wait until nothing is under way, or until the deadline. Returns what then still is: nothing, if all is quiet.

    Without `timers`, those that are due are not waited for, which may take a minute.
    """
    watch = _Watch(connection, since, expected)

    def left() -> list[Unsettled]:
        # The queues are many and are asked last, and then the ledger again, for what has left them meanwhile.
        return [*watch.open()] or [*(watch.overdue() if timers else ()), *watch.queued(), *watch.open()]

    return _wait(left, deadline)


def wait_until_done(
    connection: Connection, events: Collection[str], since: datetime, deadline: datetime
) -> list[Undelivered | Unrecorded]:
    """Wait until these events and all that they have caused are recorded, and every subscriber has come to an end with
    each of them, or until the deadline. Returns what is then left.

    Dead and discarded are ends, too. It does not look at queues and timers: a second delivery, or an event that a timer
    will record, may still come. `since` is some moment before the first of the events was recorded.
    """
    return _wait(_Watch(connection, since, events, of=events).open, deadline)


def _wait(look: Callable[[], list[T]], deadline: datetime) -> list[T]:
    """Look until nothing is found, or until the deadline."""
    pause = _FIRST_PAUSE
    while True:
        left = look()
        remaining = (deadline - datetime.now(UTC)).total_seconds()
        if not left or remaining <= 0:
            return left
        time.sleep(min(pause, remaining))
        pause = min(2 * pause, _LONGEST_PAUSE)


class _Watch:
    """Looks again and again, and at nothing twice that was found settled."""

    def __init__(
        self, connection: Connection, since: datetime, expected: Collection[str], *, of: Collection[str] | None = None
    ) -> None:
        """`of`: look only at these events and at what they have caused."""
        self._connection = connection
        self._since = since
        self._subscriptions = Subscriptions.of(connection)
        self._settled: set[Pair] = set()
        self._expected = set(expected)
        self._of = None if of is None else set(of)
        _ = connection.journal, connection.dynamodb  # made before several threads want them

    def open(self) -> list[Undelivered | Unrecorded]:
        """Deliveries that the ledger knows no end of, and events that are not in the journal."""
        lines = self._lines()
        if self._of is not None:
            correlations = {line.correlation_id for line in lines if line.id in self._of}
            lines = [line for line in lines if line.correlation_id in correlations]
        pairs = {
            (line.id, consumer): Undelivered(line, consumer)
            for line in lines
            for consumer in self._subscriptions.consumers(published_source(line.type), line.type)
        }
        asked = [pair for pair in pairs if pair not in self._settled]
        batches = [asked[start : start + _MOST_READS] for start in range(0, len(asked), _MOST_READS)]
        for rows in self._connection.each(self._rows, batches):
            for pair, emitted in rows.items():
                self._settled.add(pair)
                self._expected |= set(emitted)
                if self._of is not None:
                    self._of |= set(emitted)
        self._expected -= {line.id for line in lines}
        return [
            *(undelivered for pair, undelivered in pairs.items() if pair not in self._settled),
            *(Unrecorded(event_id) for event_id in sorted(self._expected)),
        ]

    def queued(self) -> list[Queued]:
        """The queues that are not empty, but for dead-letter queues."""
        return [queue for queue in self._connection.each(self._count, self._queues) if queue]

    @cached_property
    def _queues(self) -> list[str]:
        return [url for url in _queues(self._connection) if not url.endswith("-dead")]

    def overdue(self) -> list[Overdue]:
        """The timers that are due. Sweeps have finished with all minutes before their watermark."""
        table, now = DueTable(self._connection.dynamodb, self._connection.names.due), datetime.now(UTC)
        mark = table.watermark()
        first = minute(mark.minute if mark else self._since)
        minutes = range((now - first) // _MINUTE + 1)
        all_slots = [slot for number in minutes for slot in slots(first + number * _MINUTE)]
        found = self._connection.each(lambda slot: list(table.due(slot, clock.timestamp(now))), all_slots)
        rows = [unpack_item(item) for items in found for item in items]
        return [Overdue(row.get("stream", ""), row["due"].partition("#")[0]) for row in rows]

    def _lines(self) -> list[Line]:
        journal = self._connection.journal
        span = Span(self._since, datetime.now(UTC) + CLOCKS_DIFFER)
        buckets = [bucket for hour in span.hours() for bucket in hour]
        found = self._connection.each(lambda bucket: list(journal.lines(bucket, span)), buckets)
        return sorted((line for lines in found for line in lines), key=lambda line: line.order)

    def _rows(self, pairs: Sequence[Pair]) -> dict[Pair, Sequence[str]]:
        table = self._connection.names.ledger
        request: Mapping[str, Any] = {
            table: {
                "Keys": [pack_item({"event": event, "consumer": consumer}) for event, consumer in pairs],
                "ProjectionExpression": "#event, consumer, emitted, #state",
                "ExpressionAttributeNames": {"#event": "event", "#state": "state"},
                "ConsistentRead": True,
            }
        }
        rows: dict[Pair, Sequence[str]] = {}
        while request:
            answer = self._connection.dynamodb.batch_get_item(RequestItems=request)
            for row in map(unpack_item, answer["Responses"].get(table, [])):
                if row["state"] != TRYING:
                    rows[row["event"], row["consumer"]] = row.get("emitted", ())
            request = answer.get("UnprocessedKeys") or {}
        return rows

    def _count(self, url: str) -> Queued | None:
        counts = self._connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))["Attributes"]
        numbers = {name: int(counts.get(attribute, 0)) for attribute, name in _COUNTS.items()}
        return Queued(url.rpartition("/")[2], **numbers) if any(numbers.values()) else None


def _queues(connection: Connection) -> Iterator[str]:
    pages = connection.sqs.get_paginator("list_queues").paginate(QueueNamePrefix=connection.names.of(""))
    return (url for page in pages for url in page.get("QueueUrls", []))

"""What is still under way in a stage, and waiting until nothing is.

sent = datetime.now(UTC)
...
left = wait_until_idle(connection, since=sent, deadline=sent + timedelta(seconds=30), expected=ids)

`wait_until_idle` looks at the whole stage: it says that nothing is in flight at all. `wait_until_done` looks only at
some events and what they have caused, which costs far fewer calls, and does not wait for other people's events.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from daybook.contracts import clock
from daybook.operate.connection import Connection
from daybook.operate.moments import CLOCKS_DIFFER
from daybook.operate.polling import looks
from daybook.operate.queues import counts
from daybook.operate.reading import Pair, entries, lines_of
from daybook.operate.subscriptions import Subscriptions
from daybook.store.attributes import unpack_item
from daybook.store.journal import Line, Span
from daybook.store.ledger import TRYING
from daybook.store.timers import DueTable, minute, slots

_MINUTE = timedelta(minutes=1)
_ROW = ("event", "consumer", "state", "at", "emitted")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A recorded event that a consumer subscribes to, and that has no final status there by the ledger."""

    event: Line
    consumer: str


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """An event that should be in the journal and is not: sent and not admitted yet, or emitted a moment ago."""

    event_id: str


@dataclass(frozen=True, slots=True)
class Queued:
    """Messages in a queue: those in flight are being processed, or were; delayed ones are delivered later."""

    queue: str
    waiting: int
    in_flight: int
    delayed: int


@dataclass(frozen=True, slots=True)
class Overdue:
    """A timer that is due. fire-timers, which runs each minute, records its event."""

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
    queued = watch.queued()  # first: a message that leaves a queue has its row in the ledger by then
    return [*watch.open(), *queued, *watch.overdue()]


def wait_until_idle(
    connection: Connection,
    since: datetime,
    deadline: datetime,
    *,
    expected: Collection[str] = (),
    timers: bool = True,
) -> list[Unsettled]:
    """Wait until nothing is under way, or until the deadline. Returns what is still under way: nothing, if the stage is
    idle.

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
    """Wait until these events and all that they have caused are recorded, and every subscriber has a final status of
    each of them, or until the deadline. Returns what is then left.

    Dead and discarded are ends, too. It does not look at queues and timers: a second delivery, or an event that a timer
    will record, may still come. `since` is some moment before the first of the events was recorded.
    """
    return _wait(_Watch(connection, since, events, of=events).open, deadline)


def _wait(look: Callable[[], list[T]], deadline: datetime) -> list[T]:
    """Look until nothing is found, or until the deadline."""
    for _ in looks((deadline - datetime.now(UTC)).total_seconds()):
        left = look()
        if not left or datetime.now(UTC) >= deadline:
            break
    return left


class _Watch:
    """Looks repeatedly, and at nothing again that was found settled."""

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
        pairs = {pair: Undelivered(line, pair[1]) for pair, line in self._subscriptions.deliveries(lines).items()}
        rows = entries(self._connection, [pair for pair in pairs if pair not in self._settled], _ROW)
        for pair, row in rows.items():
            if row.state == TRYING:
                continue
            self._settled.add(pair)
            self._expected |= set(row.emitted)
            if self._of is not None:
                self._of |= set(row.emitted)
        self._expected -= {line.id for line in lines}
        return [
            *(undelivered for pair, undelivered in pairs.items() if pair not in self._settled),
            *(Unrecorded(event_id) for event_id in sorted(self._expected)),
        ]

    def queued(self) -> list[Queued]:
        """The queues that are not empty, but for dead-letter queues."""
        found = counts(self._connection)
        return [
            Queued(self._connection.names.of(name), **each)
            for name, each in found.items()
            if any(each.values()) and not name.endswith("-dead")
        ]

    def overdue(self) -> list[Overdue]:
        """The timers that are due. fire-timers has finished all minutes before its watermark."""
        table, now = DueTable(self._connection.dynamodb, self._connection.names.due), datetime.now(UTC)
        mark = table.watermark()
        first = minute(mark.minute if mark else self._since)
        minutes = range((now - first) // _MINUTE + 1)
        all_slots = [slot for number in minutes for slot in slots(first + number * _MINUTE)]
        found = self._connection.each(lambda slot: list(table.due(slot, clock.timestamp(now))), all_slots)
        rows = [unpack_item(item) for items in found for item in items]
        return [Overdue(row.get("stream", ""), row["due"].partition("#")[0]) for row in rows]

    def _lines(self) -> list[Line]:
        return lines_of(self._connection, Span(self._since, datetime.now(UTC) + CLOCKS_DIFFER))

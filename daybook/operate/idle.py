"""Finds the work in progress in a stage, and waits until the stage is idle.

sent = datetime.now(UTC)
...
left = wait_until_idle(connection, since=sent, deadline=sent + timedelta(seconds=30), expected=ids)

`wait_until_idle` checks the whole stage. `wait_until_done` checks only some events and the events that they have
caused: this needs far fewer calls, and does not wait for events of others.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from daybook.contracts import clock
from daybook.operate.connection import Connection
from daybook.operate.moments import CLOCKS_DIFFER
from daybook.operate.polling import poll
from daybook.operate.queues import counts
from daybook.operate.reading import Pair, entries, lines_of
from daybook.operate.subscriptions import Subscriptions
from daybook.store.attributes import unpack_item
from daybook.store.journal import JournalEntry, Span
from daybook.store.ledger import TRYING
from daybook.store.timers import DueTable, minute, slots

_MINUTE = timedelta(minutes=1)
_ROW = ("key", "state", "at", "emitted")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A recorded event without a final processing status at a consumer that subscribes to it."""

    event: JournalEntry
    consumer: str


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """An event that is not in the journal yet: sent but not admitted, or emitted a moment ago."""

    event_id: str


@dataclass(frozen=True, slots=True)
class Queued:
    """The numbers of messages in a queue: `in_flight` were received and not deleted; `delayed` are delivered later."""

    queue: str
    waiting: int
    in_flight: int
    delayed: int


@dataclass(frozen=True, slots=True)
class Overdue:
    """A timer that is due and has not fired. fire-timers runs each minute."""

    stream: str
    time: str


Unsettled = Undelivered | Unrecorded | Queued | Overdue


def unsettled(connection: Connection, since: datetime, *, expected: Collection[str] = ()) -> list[Unsettled]:
    """The work in progress: of the events recorded since then, in the stage's queues, and of the timers that are due.

    `since` is compared with the clocks of functions: subtract some seconds if clocks may differ. `expected` are ids of
    events that should be recorded. The counts of queues are SQS's approximations. An event between the ingress bus and
    a queue is found only if it is expected.
    """
    watch = _Watch(connection, since, expected)
    queued = watch.queued()  # first: when a message leaves its queue, its ledger row exists
    return [*watch.open(), *queued, *watch.overdue()]


def wait_until_idle(
    connection: Connection,
    since: datetime,
    deadline: datetime,
    *,
    expected: Collection[str] = (),
    timers: bool = True,
) -> list[Unsettled]:
    """Wait until the stage is idle, or until the deadline. Returns the work that is still in progress.

    With `timers=False`, it does not wait for timers that are due, which may take a minute.
    """
    watch = _Watch(connection, since, expected)

    def left() -> list[Unsettled]:
        # The queues are many, so they are read last; then the ledger again, for messages that have left them.
        return [*watch.open()] or [*(watch.overdue() if timers else ()), *watch.queued(), *watch.open()]

    return _wait(left, deadline)


def wait_until_done(
    connection: Connection, events: Collection[str], since: datetime, deadline: datetime
) -> list[Undelivered | Unrecorded]:
    """Wait until these events and all that they have caused are recorded and have a final status at every subscriber,
    or until the deadline. Returns those that have not.

    Dead and discarded are final statuses. It does not check queues and timers: a second delivery, or an event of a
    timer, may still come. `since` is a time before the first of the events was recorded.
    """
    return _wait(_Watch(connection, since, events, of=events).open, deadline)


def _wait(look: Callable[[], list[T]], deadline: datetime) -> list[T]:
    """Poll until nothing is found, or until the deadline."""
    for _ in poll((deadline - datetime.now(UTC)).total_seconds()):
        left = look()
        if not left or datetime.now(UTC) >= deadline:
            break
    return left


class _Watch:
    """Polls the stage. Deliveries that have a final status are not read again."""

    def __init__(
        self, connection: Connection, since: datetime, expected: Collection[str], *, of: Collection[str] | None = None
    ) -> None:
        """`of`: check only these events and the events that they have caused."""
        self._connection = connection
        self._since = since
        self._subscriptions = Subscriptions.of(connection)
        self._settled: set[Pair] = set()
        self._expected = set(expected)
        self._of = None if of is None else set(of)
        _ = connection.journal, connection.dynamodb  # create the clients before threads use them

    def open(self) -> list[Undelivered | Unrecorded]:
        """Deliveries without a final status, and expected events that are not in the journal."""
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
        """The queues with messages, except dead-letter queues."""
        found = counts(self._connection)
        return [
            Queued(self._connection.names.of(name), **each)
            for name, each in found.items()
            if any(each.values()) and not name.endswith("-dead")
        ]

    def overdue(self) -> list[Overdue]:
        """The timers that are due. fire-timers has fired all timers before its watermark."""
        table, now = DueTable(self._connection.dynamodb, self._connection.names.due), datetime.now(UTC)
        mark = table.watermark()
        first = minute(mark.minute if mark else self._since)
        minutes = range((now - first) // _MINUTE + 1)
        all_slots = [slot for number in minutes for slot in slots(first + number * _MINUTE)]
        found = self._connection.each(lambda slot: list(table.due(slot, clock.timestamp(now))), all_slots)
        rows = [unpack_item(item) for items in found for item in items]
        return [Overdue(row.get("stream", ""), row["due"].partition("#")[0]) for row in rows]

    def _lines(self) -> list[JournalEntry]:
        return lines_of(self._connection, Span(self._since, datetime.now(UTC) + CLOCKS_DIFFER))

"""What a consumer has missed: events that it subscribes to and that never reached it, and bringing them there.

A rule delivers what is published while it stands. A service that was removed and deployed again, or was added later,
has not got what was recorded without it; the store has it all.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from backbone import clock
from backbone.envelope import Envelope
from backbone.journal import Line, Span
from backbone.ledger import TRYING, Entry
from backbone.ledger import from_item as entry_in
from backbone.store import NotAnEvent
from backbone.store import from_item as event_in
from ops import moments
from ops.connection import LOCAL, Connection
from ops.subscriptions import Subscriptions, UnknownConsumer, listens_since, published_source, queue_url

Place = tuple[str, int]  # stream and sequence

# Read side by side; more would only take more memory.
_HOURS_AT_ONCE = 2
# DynamoDB's quota for one BatchGetItem, and SQS's for one SendMessageBatch. Ten of our events, 64 KiB each at the most,
# are always within the 1 MiB that SQS takes at once.
_MOST_READS = 100
_MOST_ENTRIES = 10

_ATTEMPTS = 4
_FIRST_PAUSE = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event on its way into the queue: it is there, or not, with the reason."""

    event: Line
    error: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether it is in the consumer's queue."""
        return self.error is None


@dataclass(slots=True)
class Summary:
    """Events in a few numbers. `by_type` counts them; `fresh` are those recorded since the consumer listens."""

    listens_since: datetime
    by_type: Counter[str] = field(default_factory=Counter)
    fresh: int = 0
    oldest: str | None = None
    newest: str | None = None

    @property
    def events(self) -> int:
        """How many they are."""
        return self.by_type.total()

    def add(self, event: Line) -> None:
        """Count one more."""
        self.by_type[event.type] += 1
        self.fresh += event.recorded_at >= clock.timestamp(self.listens_since)
        self.oldest = min(self.oldest or event.recorded_at, event.recorded_at)
        self.newest = max(self.newest or event.recorded_at, event.recorded_at)


def span(connection: Connection, since: str | None, until: str | None, now: datetime) -> Span:
    """The time that an operator names; unless said, from the making of the store until `complete`. Raises BadMoment."""
    end = moments.moment(until, now) if until else complete(connection, now)
    if since is None:
        return Span(min(_making_of_the_store(connection), end), end)
    made = Span(moments.moment(since, now), end)
    if made.since >= made.until:
        lagging = f"{clock.timestamp(end)}, up to which the journal is sure to be complete"
        msg = f"--since {since} is not before {f'--until {until}' if until else lagging}"
        raise moments.BadMoment(msg)
    return made


def complete(connection: Connection, now: datetime) -> datetime:
    """Up to when the journal lacks nothing. An index lags, but for the one on this machine."""
    return now + moments.CLOCKS_DIFFER if connection.stage == LOCAL else now - moments.INDEX_LAG


def gap(connection: Connection, consumer: str, since: datetime, until: datetime | None = None) -> Iterator[Line]:
    """The events recorded from `since` to `until` that the consumer should have got and did not, the oldest first.

    It should get what its rule takes. It has got what stands in the ledger with its name, in whatever state; but for
    what was being tried when an earlier queue of this name was deleted, and went with that. Events that wait in its
    queue for the first time have no row yet, so that they are among the missing: a second delivery does no harm.

    Read hour by hour, as it is asked for. Raises UnknownConsumer, at once.
    """
    subscriptions = Subscriptions.of(connection)
    if consumer not in subscriptions.known:
        raise UnknownConsumer(consumer, connection.stage, subscriptions.known)
    began = clock.timestamp(listens_since(connection, consumer))
    wanted = Span(since, until or complete(connection, datetime.now(UTC)))
    return _missing(connection, consumer, subscriptions, wanted, began)


def deliver(
    connection: Connection, consumer: str, events: Iterable[Line], *, pause: Callable[[float], None] = time.sleep
) -> Iterator[Outcome]:
    """Put events into the consumer's queue, just as its rule would, and tell what became of each.

    Events are read as they are needed, so that there may be any number. What SQS could not take just then is tried
    again a few times; `pause` waits so many seconds before that. What was delivered before is done once all the same:
    the ledger sees to it. Raises UnknownConsumer.
    """
    url = queue_url(connection, consumer)
    waiting = iter(events)
    while lines := list(islice(waiting, _MOST_READS)):
        stored, unreadable = _stored(connection, lines)
        readable = [line for line in lines if _place(line) in stored]
        for start in range(0, len(readable), _MOST_ENTRIES):
            batch = readable[start : start + _MOST_ENTRIES]
            bodies = [_body(connection, stored[_place(line)]) for line in batch]
            errors = _send(connection, url, bodies, pause)
            yield from (Outcome(line, error) for line, error in zip(batch, errors, strict=True))
        for line in lines:
            if _place(line) not in stored:
                yield Outcome(line, unreadable.get(_place(line), "it is in the journal, and not in the store"))


def _making_of_the_store(connection: Connection) -> datetime:
    table = connection.dynamodb.describe_table(TableName=connection.names.store)["Table"]
    made: datetime = table["CreationDateTime"]
    return made.astimezone(UTC)


def _missing(
    connection: Connection, consumer: str, subscriptions: Subscriptions, wanted: Span, began: str
) -> Iterator[Line]:
    if wanted.since >= wanted.until:
        return
    journal = connection.journal

    def of_bucket(bucket: str) -> list[Line]:
        return [
            line
            for line in journal.lines(bucket, wanted)
            if consumer in subscriptions.consumers(published_source(line.type), line.type)
        ]

    hours = reversed(list(wanted.hours()))
    while block := list(islice(hours, _HOURS_AT_ONCE)):
        found = connection.each(of_bucket, [bucket for hour in block for bucket in hour])
        lines = sorted((line for lines in found for line in lines), key=lambda line: line.order)
        for start in range(0, len(lines), _MOST_READS):
            some = lines[start : start + _MOST_READS]
            had = _had(connection, consumer, some, began)
            yield from (line for line in some if line.id not in had)


def _had(connection: Connection, consumer: str, lines: Sequence[Line], began: str) -> set[str]:
    """Those of the events that the consumer has got, by their ids."""
    # A table that was tampered with may hold an id twice; a request may not.
    keys = [{"event": event_id, "consumer": consumer} for event_id in dict.fromkeys(line.id for line in lines)]
    entries = [entry_in(item) for item in connection.items(connection.names.ledger, keys)]
    return {entry.event for entry in entries if not _went_with_its_queue(entry, began)}


def _went_with_its_queue(entry: Entry, began: str) -> bool:
    """Whether the message that was being tried last was in a queue before this one, which was made at `began`."""
    return entry.state == TRYING and max(entry.at, *(str(each["at"]) for each in entry.tries), "") < began


def _stored(connection: Connection, lines: Sequence[Line]) -> tuple[dict[Place, Envelope], dict[Place, str]]:
    """The events as the store has them, and why some cannot be read; by their place."""
    keys = [{"stream": line.stream, "sequence": line.sequence} for line in lines]
    stored: dict[Place, Envelope] = {}
    unreadable: dict[Place, str] = {}
    for item in connection.items(connection.names.store, keys):
        place = (item["stream"]["S"], int(item["sequence"]["N"]))
        try:
            stored[place] = event_in(item)
        except NotAnEvent as error:
            unreadable[place] = f"{error}; it was not written by this system: look at the alarm on tampering"
    return stored, unreadable


def _place(line: Line) -> Place:
    return line.stream, line.sequence


def _body(connection: Connection, event: Envelope) -> str:
    """The message that EventBridge makes of the event for a queue. The detail stays to the letter what was stored."""
    m = event.metadata
    head = {
        "version": "0",
        "id": m.id,
        "detail-type": m.type,
        "source": event.source,
        "account": connection.account,
        "time": f"{m.recorded_at[:19]}Z",
        "region": connection.region,
        "resources": [],
    }
    return f'{json.dumps(head).removesuffix("}")}, "detail": {event.detail}}}'


def _send(connection: Connection, url: str, bodies: Sequence[str], pause: Callable[[float], None]) -> list[str | None]:
    """Send the messages of one request; for each: why it was not taken, or None."""
    errors: list[str | None] = [None] * len(bodies)
    waiting = list(range(len(bodies)))
    for attempt in range(_ATTEMPTS):
        if attempt:
            pause(random.uniform(0.5, 1) * _FIRST_PAUSE * 2 ** (attempt - 1))  # noqa: S311 - only spreads load
        entries = [{"Id": str(number), "MessageBody": bodies[number]} for number in waiting]
        answer = connection.sqs.send_message_batch(QueueUrl=url, Entries=entries)
        taken = {int(each["Id"]) for each in answer.get("Successful", ())}
        failed = {int(each["Id"]): each for each in answer.get("Failed", ())}
        for number in waiting:
            errors[number] = None if number in taken else _why(failed.get(number))
        waiting = [n for n in waiting if n not in taken and not failed.get(n, {}).get("SenderFault")]
        if not waiting:
            break
    return errors


def _why(failure: Mapping[str, Any] | None) -> str:
    if failure is None:
        return "SQS did not say what became of it"
    return f"{failure.get('Code', 'Unknown')}: {failure.get('Message') or 'no reason given'}"

"""Republish all events that were recorded in a time span, read from the journal: oldest first, each stream in order.

DynamoDB keeps the store's change stream for 24 hours. This function publishes events that publish has missed for
longer. The journal is eventually consistent, so end the span some minutes ago; the change stream has the newer events.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from daybook.backbone.bus import BusWriter, Stored
from daybook.consumers.consumer import journal_shards
from daybook.contracts import clock
from daybook.runtime import aws
from daybook.runtime.settings import settings
from daybook.store.event_store import EventStore, Position
from daybook.store.journal import Journal, JournalEntry, Span
from daybook.store.limits import BATCH_GET_ITEMS
from daybook.store.transaction import Backoff

Item = Mapping[str, Any]

# A further portion begins only if this much time is left. A portion takes one or two seconds.
_MIN_REMAINING = 10.0  # seconds


class BadRange(ValueError):
    """Republish was invoked with an invalid time span."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Consecutive journal entries of the span. The invocation that continues with this portion begins at `since`."""

    since: str
    entries: Sequence[JournalEntry]


def handler(request: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Publish a time span again: {"since": RFC 3339, "until": RFC 3339}.

    Returns {"published": the number of events, "set_aside": the number of events that can never be published, "next":
    the `since` of the next invocation, or null at the end of the span}. Raises BadRange, and NotPublished or botocore's
    errors if the invocation must be repeated.
    """
    span = span_of(request)
    with BusWriter(context) as bus:
        following = _republish(span, bus)
    return {"next": following, "published": bus.published, "set_aside": bus.set_aside}


def _republish(span: Span, bus: BusWriter) -> str | None:
    """Publish the span while time remains. Returns where to continue, or None at the end of the span."""
    dynamodb, table = aws.client("dynamodb"), settings().names.store
    journal, store = Journal(dynamodb, table, journal_shards()), EventStore(dynamodb, table, journal_shards())
    for number, portion in enumerate(portions(journal, span)):
        # Always publish the first portion, so that each invocation makes progress.
        if number and bus.remaining() < _MIN_REMAINING:
            return portion.since
        bus.put(_stored(portion.entries, items(store, portion.entries, bus.backoff), bus))
    return None


def _stored(entries: Iterable[JournalEntry], found: Mapping[Position, Item], bus: BusWriter) -> Iterator[Stored]:
    for entry in entries:
        name = f"{entry.stream}#{entry.sequence}"
        if item := found.get((entry.stream, entry.sequence)):
            yield Stored(item, name)
        else:
            bus.tampered("REMOVE", name)


def span_of(request: object) -> Span:
    """The span in {"since": RFC 3339, "until": RFC 3339}: since inclusive, until exclusive. Raises BadRange."""
    if not isinstance(request, Mapping) or request.keys() != {"since", "until"}:
        msg = 'the request must be {"since": <RFC 3339>, "until": <RFC 3339>}'
        raise BadRange(msg)
    span = Span(*(_moment(name, request[name]) for name in ("since", "until")))
    if span.since >= span.until:
        msg = "since must be before until"
        raise BadRange(msg)
    if clock.timestamp(span.until) > clock.now():
        msg = "until must be in the past, because later events would be missed"
        raise BadRange(msg)
    return span


def _moment(name: str, value: object) -> datetime:
    try:
        return clock.moment(str(value))
    except ValueError as error:
        msg = f"{name} must be an RFC 3339 time with a time zone"
        raise BadRange(msg) from error


def portions(journal: Journal, span: Span) -> Iterator[Portion]:
    """All entries of the span in the order of recording, read lazily. There is at least one portion for each hour.

    Entries with the same time are always in the same portion, so that continuing from a portion makes progress.
    """
    since = clock.timestamp(span.since)
    for buckets in journal.hours(span, oldest_first=True):
        hour = f"{buckets[0][:13]}:00:00.000000Z"
        waiting = Portion(max(since, hour), [])
        for moment, simultaneous in groupby(journal.merged(buckets, span), key=attrgetter("recorded_at")):
            if len(waiting.entries) >= BATCH_GET_ITEMS:
                yield waiting
                waiting = Portion(moment, [])
            waiting = Portion(waiting.since, [*waiting.entries, *simultaneous])
        yield waiting


def items(store: EventStore, entries: Sequence[JournalEntry], backoff: Backoff) -> dict[Position, Item]:
    """The items of the entries in the store's table. A consistent read. Raises OutOfTime."""
    found = dict[Position, Item]()
    for start in range(0, len(entries), BATCH_GET_ITEMS):
        batch = entries[start : start + BATCH_GET_ITEMS]
        found |= store.items([(entry.stream, entry.sequence) for entry in batch], backoff)
    return found

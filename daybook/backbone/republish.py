"""Republish all events that were recorded in a time span, read from the journal: oldest first, each stream in order.

DynamoDB keeps the store's change stream for 24 hours. This function publishes events that publish has missed for
longer. The journal is eventually consistent, so end the span some minutes ago; the change stream has the newer events.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from daybook.backbone.bus import BusWriter, Stored
from daybook.contracts import clock
from daybook.runtime import aws
from daybook.runtime.settings import settings
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.journal import Journal, Line, Span
from daybook.store.limits import BATCH_GET_ITEMS
from daybook.store.transaction import Backoff, batch_get

Item = Mapping[str, Any]
Position = tuple[str, int]  # stream and sequence


# A further portion begins only if this much time is left. A portion takes one or two seconds.
_MIN_REMAINING = 10.0  # seconds


class BadRange(ValueError):
    """Republish was invoked with an invalid time span."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Consecutive lines of the span. An invocation that ends before a portion is continued from its `since`."""

    since: str
    lines: Sequence[Line]


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
    for number, portion in enumerate(portions(Journal(dynamodb, table), span)):
        # Always publish the first portion, so that each invocation makes progress.
        if number and bus.remaining() < _MIN_REMAINING:
            return portion.since
        bus.put(_stored(portion.lines, items(dynamodb, table, portion.lines, bus.backoff), bus))
    return None


def _stored(lines: Iterable[Line], found: Mapping[Position, Item], bus: BusWriter) -> Iterator[Stored]:
    for line in lines:
        name = f"{line.stream}#{line.sequence}"
        if item := found.get((line.stream, line.sequence)):
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
        msg = "until must be in the past: events that are recorded later would be missed"
        raise BadRange(msg)
    return span


def _moment(name: str, value: object) -> datetime:
    try:
        return clock.moment(str(value))
    except ValueError as error:
        msg = f"{name} must be an RFC 3339 time with a time zone"
        raise BadRange(msg) from error


def portions(journal: Journal, span: Span) -> Iterator[Portion]:
    """All lines of the span in the order of recording, read lazily. There is at least one portion for each hour.

    Lines with the same time are always in the same portion, so that continuing from a portion makes progress.
    """
    since = clock.timestamp(span.since)
    for buckets in reversed(list(span.hours())):
        hour = f"{buckets[0][:13]}:00:00.000000Z"
        waiting = Portion(max(since, hour), [])
        shards = [journal.lines(bucket, span, oldest_first=True) for bucket in buckets]
        lines = heapq.merge(*shards, key=attrgetter("order"))
        for moment, simultaneous in groupby(lines, key=attrgetter("recorded_at")):
            if len(waiting.lines) >= BATCH_GET_ITEMS:
                yield waiting
                waiting = Portion(moment, [])
            waiting = Portion(waiting.since, [*waiting.lines, *simultaneous])
        yield waiting


def items(dynamodb: Any, table: str, lines: Sequence[Line], backoff: Backoff) -> dict[Position, Item]:
    """The items of the lines in the store's table. A consistent read. Raises OutOfTime."""
    found: dict[Position, Item] = {}
    for start in range(0, len(lines), BATCH_GET_ITEMS):
        keys = [pack_item({"stream": x.stream, "sequence": x.sequence}) for x in lines[start : start + BATCH_GET_ITEMS]]
        for _, item in batch_get(dynamodb, {table: {"Keys": keys, "ConsistentRead": True}}, backoff):
            position = unpack_item({name: item[name] for name in ("stream", "sequence")})
            found[position["stream"], position["sequence"]] = item
    return found

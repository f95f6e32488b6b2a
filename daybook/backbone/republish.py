"""Republish what was recorded in a span of time, read from the journal: oldest first, each stream in order.

DynamoDB keeps the store's change stream for 24 hours. What was not published by then is published here. The journal is
an index and may lag by moments: end the span some minutes ago, which the change stream still covers.
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
from daybook.store.transaction import Pauses, batch_get

Item = Mapping[str, Any]
Place = tuple[str, int]  # stream and sequence

# DynamoDB's quota for one BatchGetItem. At 64 KiB an event, they stay below its 16 MB too.
_MOST_READS = 100


# A span is left for the next invocation when less time than this remains: a portion of it takes a second or two.
_ENOUGH = 10.0  # seconds


class BadRange(ValueError):
    """Republish was invoked with something else than a span of the past."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Some of what was recorded, `since` a moment: who stops before it goes on from there."""

    since: str
    lines: Sequence[Line]


def handler(request: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Publish a span of the past again: {"since": RFC 3339, "until": RFC 3339}.

    The answer is {"published": so many events, "set_aside": so many that can never be, "next": the `since` to go on
    from, or null at the span's end}. Raises NotPublished, or botocore's errors, if it must be repeated, and BadRange.
    """
    span = span_of(request)
    with BusWriter(context) as bus:
        following = _republish(span, bus)
    return {"next": following, "published": bus.published, "set_aside": bus.set_aside}


def _republish(span: Span, bus: BusWriter) -> str | None:
    """Publish the span while time remains. Returns where to go on, None at its end."""
    dynamodb, table = aws.client("dynamodb"), settings().names.store
    for number, portion in enumerate(portions(Journal(dynamodb, table), span)):
        # The first is always done: however short the time, each invocation gets ahead.
        if number and bus.remaining() < _ENOUGH:
            return portion.since
        bus.put(_stored(portion.lines, items(dynamodb, table, portion.lines, bus.pauses), bus))
    return None


def _stored(lines: Iterable[Line], found: Mapping[Place, Item], bus: BusWriter) -> Iterator[Stored]:
    for line in lines:
        name = f"{line.stream}#{line.sequence}"
        if item := found.get((line.stream, line.sequence)):
            yield Stored(item, name)
        else:
            bus.tampered("REMOVE", name)


def span_of(request: object) -> Span:
    """The span in {"since": RFC 3339, "until": RFC 3339}: since included, until not. Raises BadRange."""
    if not isinstance(request, Mapping) or request.keys() != {"since", "until"}:
        msg = 'republish takes {"since": <RFC 3339>, "until": <RFC 3339>} and no more'
        raise BadRange(msg)
    span = Span(*(_moment(name, request[name]) for name in ("since", "until")))
    if span.since >= span.until:
        msg = "since must be before until"
        raise BadRange(msg)
    if clock.timestamp(span.until) > clock.now():
        msg = "until must be in the past: what is recorded later would seem to be published"
        raise BadRange(msg)
    return span


def _moment(name: str, value: object) -> datetime:
    try:
        return clock.moment(str(value))
    except ValueError as error:
        msg = f"{name} is not an RFC 3339 time with a zone"
        raise BadRange(msg) from error


def portions(journal: Journal, span: Span) -> Iterator[Portion]:
    """All lines of the span in the order of recording, read as they are asked for: at least one portion an hour.

    What was recorded at one moment is never parted, so that whoever goes on from a portion gets ahead.
    """
    since = clock.timestamp(span.since)
    for buckets in reversed(list(span.hours())):
        hour = f"{buckets[0][:13]}:00:00.000000Z"
        waiting = Portion(max(since, hour), [])
        shards = [journal.lines(bucket, span, oldest_first=True) for bucket in buckets]
        lines = heapq.merge(*shards, key=attrgetter("order"))
        for moment, together in groupby(lines, key=attrgetter("recorded_at")):
            if len(waiting.lines) >= _MOST_READS:
                yield waiting
                waiting = Portion(moment, [])
            waiting = Portion(waiting.since, [*waiting.lines, *together])
        yield waiting


def items(dynamodb: Any, table: str, lines: Sequence[Line], pauses: Pauses) -> dict[Place, Item]:
    """The events of the lines as they stand in the store, read consistently. Raises OutOfTime."""
    found: dict[Place, Item] = {}
    for start in range(0, len(lines), _MOST_READS):
        keys = [pack_item({"stream": x.stream, "sequence": x.sequence}) for x in lines[start : start + _MOST_READS]]
        for _, item in batch_get(dynamodb, {table: {"Keys": keys, "ConsistentRead": True}}, pauses):
            place = unpack_item({name: item[name] for name in ("stream", "sequence")})
            found[place["stream"], place["sequence"]] = item
    return found

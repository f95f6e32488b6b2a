"""What was recorded in a span of time, read again from the journal: for publish, when the store's stream is too short.

DynamoDB keeps a stream for 24 hours. What was not published by then is found here, oldest first and each stream in
order. The journal is an index and may lag by moments: end the span some minutes ago, where the stream still reaches.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from daybook.contracts import clock
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.journal import Journal, Line, Span
from daybook.store.transaction import Pauses

Item = Mapping[str, Any]
Place = tuple[str, int]  # stream and sequence

# DynamoDB's quota for one BatchGetItem. At 64 KiB an event, they stay below its 16 MB too.
_MOST_READS = 100


class BadRange(ValueError):
    """Publish was invoked with neither a batch of the stream nor a span of the past that can be read."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Some of what was recorded, `since` a moment: who stops before it goes on from there."""

    since: str
    lines: Sequence[Line]


def span_of(request: object) -> Span:
    """The span in {"since": RFC 3339, "until": RFC 3339}: since included, until not. Raises BadRange."""
    if not isinstance(request, Mapping) or request.keys() != {"since", "until"}:
        msg = 'publish takes a batch of the store\'s stream, or {"since": <RFC 3339>, "until": <RFC 3339>} and no more'
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
        request: Mapping[str, Any] = {table: {"Keys": keys, "ConsistentRead": True}}
        while request:
            answer = dynamodb.batch_get_item(RequestItems=request)
            for item in answer["Responses"].get(table, []):
                place = unpack_item({name: item[name] for name in ("stream", "sequence")})
                found[place["stream"], place["sequence"]] = item
            request = answer.get("UnprocessedKeys") or {}
            if request:
                pauses.pause()
    return found

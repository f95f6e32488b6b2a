"""The journal, a time index: all events of a stage by the time of recording, without their data.

It is a secondary index of the event store. A partition holds one hour of one shard, so that partitions can be read in
parallel (daybook/store/journal_shards.py). The index is eventually consistent: events of the last seconds may be
missing. Reads of a stream are consistent.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Self

from daybook.contracts import clock
from daybook.store.attributes import pack, unpack, unpack_item
from daybook.store.event_store import JOURNAL, journal_position
from daybook.store.journal_shards import HOUR, PARTS, JournalShards, hour_of, journal_bucket


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One event in the journal. `recorded_at` is RFC 3339 in UTC with microseconds."""

    id: str
    type: str
    stream: str
    sequence: int
    recorded_at: str
    correlation_id: str
    causation_id: str | None

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        """The entry in an item of the index or of the store's table."""
        values = unpack_item(item)
        return cls(**{name: values[name] for name in _FIELDS})

    @property
    def order(self) -> tuple[str, str, int]:
        """The sort order of entries: the time of recording, then stream and sequence."""
        return self.recorded_at, self.stream, self.sequence

    @property
    def position(self) -> str:
        """The sort key in the index."""
        return journal_position(self.recorded_at, self.stream, self.sequence)


_FIELDS = tuple(field.name for field in fields(JournalEntry))


@dataclass(frozen=True, slots=True)
class Span:
    """A time span from `since` (inclusive) to `until` (exclusive). Both are aware datetimes."""

    since: datetime
    until: datetime


def hours(span: Span, to_read: Callable[[str], int], *, oldest_first: bool = False) -> Iterator[tuple[str, ...]]:
    """The partition keys of the span by hour. `to_read` returns the number of shards of an hour that begins then."""
    first = hour_of(span.since)
    number = -((first - span.until) // HOUR)
    for each in range(number) if oldest_first else reversed(range(number)):
        hour = clock.timestamp(first + each * HOUR)
        yield tuple(journal_bucket(hour, shard) for shard in range(to_read(hour)))


class Journal:
    """Reads one stage's journal. `dynamodb` is a botocore or boto3 client."""

    def __init__(self, dynamodb: Any, table: str, shards: JournalShards) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._shards = shards

    def hours(self, span: Span, *, oldest_first: bool = False) -> Iterator[tuple[str, ...]]:
        """The partition keys of the span, one for each shard, by hour: the newest hour first by default."""
        return hours(span, self._shards.to_read, oldest_first=oldest_first)

    def part(self, number: int, span: Span, *, event_types: Sequence[str] = ()) -> Iterator[Iterator[JournalEntry]]:
        """One of the PARTS parts of the span's entries, by hour, oldest first. All events of a stream are in one part,
        in their order.
        """
        for buckets in self.hours(span, oldest_first=True):
            yield self.merged(buckets[number::PARTS], span, event_types=event_types)

    def merged(self, buckets: Iterable[str], span: Span, *, event_types: Sequence[str] = ()) -> Iterator[JournalEntry]:
        """The entries of several partitions, oldest first."""
        shards = [self.entries(bucket, span, event_types=event_types, oldest_first=True) for bucket in buckets]
        return heapq.merge(*shards, key=attrgetter("order"))

    def entries(
        self,
        bucket: str,
        span: Span,
        *,
        event_type: str | None = None,
        event_types: Sequence[str] = (),
        stream_prefix: str | None = None,
        event_id: str | None = None,
        page_size: int | None = None,
        oldest_first: bool = False,
    ) -> Iterator[JournalEntry]:
        """The entries of one partition in the span, newest first by default. Pages are read lazily.

        `event_types` has at most limits.IN_VALUES types; without any, all types match. `page_size` is the number of
        entries that one query reads; the default is DynamoDB's limit of 1 MB.
        """
        wanted = {"type": event_type, "id": event_id}
        filters = {f"#{name} = :{name}": (name, value) for name, value in wanted.items() if value is not None}
        if stream_prefix is not None:
            filters["begins_with(#stream, :stream)"] = ("stream", stream_prefix)
        request = self._of_bucket(bucket, span) | {"ScanIndexForward": oldest_first}
        request["ExpressionAttributeNames"] |= {f"#{name}": name for name, _ in filters.values()}
        request["ExpressionAttributeValues"] |= {f":{name}": pack(value) for name, value in filters.values()}
        conditions = list(filters)
        if event_types:
            several = {f":type{number}": pack(name) for number, name in enumerate(event_types)}
            conditions.append(f"#type IN ({', '.join(several)})")
            request["ExpressionAttributeNames"] |= {"#type": "type"}
            request["ExpressionAttributeValues"] |= several
        if conditions:
            request["FilterExpression"] = " AND ".join(conditions)
        return self._read(request, page_size)

    def places(self, bucket: str, span: Span) -> Iterator[tuple[str, Any]]:
        """Stream and sequence of all items of one partition in the span, the oldest first, also of those that are not
        events. Pages are read lazily.
        """
        for item in self._items(self._of_bucket(bucket, span)):
            yield unpack(item["stream"]), unpack(item["sequence"])

    def of_stream(self, stream: str, *, oldest_first: bool = False) -> Iterator[JournalEntry]:
        """All entries of one stream, newest first by default. A consistent read of the store's table."""
        return self._read(
            {
                "TableName": self._table,
                "KeyConditionExpression": "#stream = :stream",
                "ProjectionExpression": ", ".join(f"#{name}" for name in _FIELDS),
                "ExpressionAttributeNames": {f"#{name}": name for name in _FIELDS},
                "ExpressionAttributeValues": {":stream": pack(stream)},
                "ScanIndexForward": oldest_first,
                "ConsistentRead": True,
            }
        )

    def _of_bucket(self, bucket: str, span: Span) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "IndexName": JOURNAL,
            # A position is longer than the time with which it begins, so those recorded at `until` sort after it.
            "KeyConditionExpression": "#bucket = :bucket AND #position BETWEEN :since AND :until",
            "ExpressionAttributeNames": {"#bucket": "bucket", "#position": "position"},
            "ExpressionAttributeValues": {
                ":bucket": pack(bucket),
                ":since": pack(clock.timestamp(span.since)),
                ":until": pack(clock.timestamp(span.until)),
            },
        }

    def _read(self, request: Mapping[str, Any], page_size: int | None = None) -> Iterator[JournalEntry]:
        return map(JournalEntry.of, self._items(request, page_size))

    def _items(self, request: Mapping[str, Any], page_size: int | None = None) -> Iterator[Mapping[str, Any]]:
        pages = self._dynamodb.get_paginator("query").paginate(**request, PaginationConfig={"PageSize": page_size})
        return (item for page in pages for item in page["Items"])

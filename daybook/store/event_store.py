"""The event store: streams of events, only ever appended to.

Partition key `stream` (`order/1001`), sort key `sequence` (1, 2, 3 …, no gaps). An append is conditional on its
sequence being free. Each event carries the hash of its predecessor, so that a change of the past shows.
Besides, each event stands in the journal, the index by time of recording, and, when it is on another stream than the
one its story began on, in the index of stories.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from daybook.contracts.envelope import GENESIS, Envelope, Metadata, read_metadata
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.schema import Index, Schema

JOURNAL = "journal"
STORY = "story"

# One partition of an index takes 1,000 writes a second (DynamoDB's quota); eight take what one stage may record.
# Events keep the shard they were written with: a larger number later reads the old ones too, a smaller one would not.
JOURNAL_SHARDS = 8

# A reserved word in DynamoDB's expressions.
_STREAM_NAME = {"#stream": "stream"}

_METADATA = tuple(field.name for field in fields(Metadata))
# What the indexes carry beside the keys: enough to list and to draw a journey, without the body.
INDEXED = ("id", "type", "recorded_at", "correlation_id", "causation_id")

SCHEMA = Schema(
    "stream",
    "sequence",
    numbers=frozenset({"sequence"}),
    indexes=(Index(JOURNAL, "bucket", "position", INDEXED), Index(STORY, "story", "position")),
)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest event of a stream, as far as its successor needs to know it."""

    sequence: int
    recorded_at: str
    hash: str
    id: str
    correlation_id: str
    story: bool

    @classmethod
    def at(cls, envelope: Envelope) -> Self:
        """The head of a stream that ends with this event."""
        m = envelope.metadata
        return cls(m.sequence, m.recorded_at, envelope.hash, m.id, m.correlation_id, envelope.story)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that is about to be appended. Without a correlation id it begins a story."""

    id: str
    type: str
    version: int
    stream: str
    time: str
    data: str
    producer: str
    source: str
    correlation_id: str | None = None
    causation_id: str | None = None


def successor(draft: Draft, head: Head | None, now: str) -> Envelope:
    """The draft as its stream's next event after `head` (None: as its first), recorded at `now`.

    A draft without a correlation id joins the story of its predecessor in the stream, with that as its cause, or begins
    one of its own. Raises EventTooLarge.
    """
    correlation_id, causation_id = draft.correlation_id, draft.causation_id
    if correlation_id is None:
        correlation_id = head.correlation_id if head else draft.id
        causation_id = causation_id or (head.id if head else None)
    return Envelope.sealed(
        Metadata(
            id=draft.id,
            type=draft.type,
            version=draft.version,
            stream=draft.stream,
            sequence=head.sequence + 1 if head else 1,
            time=draft.time,
            recorded_at=max(now, head.recorded_at) if head else now,
            correlation_id=correlation_id,
            causation_id=causation_id,
            producer=draft.producer,
        ),
        draft.data,
        source=draft.source,
        story=_needs_story(draft.id, correlation_id, head),
        previous=head.hash if head else GENESIS,
    )


def _needs_story(event_id: str, correlation_id: str, head: Head | None) -> bool:
    """Whether the index must hold the event: not where its story began on this very stream."""
    if event_id == correlation_id:
        return False
    return head is None or head.correlation_id != correlation_id or head.story


def journal_bucket(recorded_at: str, shard: int) -> str:
    """The journal's partition for an hour and a shard: `2026-03-01T09#3`."""
    return f"{recorded_at[:13]}#{shard}"


def journal_shard(stream: str) -> int:
    """A stream stays in one shard, so that its events keep their order there."""
    return zlib.crc32(stream.encode()) % JOURNAL_SHARDS


def journal_position(recorded_at: str, stream: str, sequence: int) -> str:
    """The journal's sort key: by the time of recording, then by stream and place in it."""
    return f"{recorded_at}#{stream}#{sequence:012d}"


def to_item(envelope: Envelope) -> dict[str, Any]:
    """The event as the item that the store keeps."""
    m = envelope.metadata
    item = {name: getattr(m, name) for name in _METADATA}
    position = journal_position(m.recorded_at, m.stream, m.sequence)
    item |= {"data": envelope.data, "source": envelope.source, "previous": envelope.previous, "hash": envelope.hash}
    item |= {"bucket": journal_bucket(m.recorded_at, journal_shard(m.stream)), "position": position}
    if envelope.story:
        item["story"] = m.correlation_id
    return pack_item(item)


class NotAnEvent(ValueError):
    """An item in the store's table is not an event that this system wrote."""


def from_item(item: Mapping[str, Any]) -> Envelope:
    """The event that the store keeps in `item`. Raises NotAnEvent."""
    try:
        values = unpack_item(item)
        data, source, previous, own_hash = (values[name] for name in ("data", "source", "previous", "hash"))
        if not all(isinstance(text, str) for text in (data, source, previous, own_hash)):
            msg = "an item in the store has a part of an event that is not a text"
            raise NotAnEvent(msg)
        return Envelope(read_metadata(values), data, source, "story" in values, previous, own_hash)
    except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        msg = "an item in the store lacks part of an event"
        raise NotAnEvent(msg) from error


class EventStore:
    """Reads one stage's store, and says how to append to it. `dynamodb` is a client of botocore or boto3."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def head(self, stream: str) -> Head | None:
        """The newest event of the stream, read consistently; None when it was never opened."""
        answer = self._dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="#stream = :stream",
            ExpressionAttributeNames=_STREAM_NAME,
            ExpressionAttributeValues={":stream": pack(stream)},
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=True,
        )
        if not answer["Items"]:
            return None
        return Head.at(from_item(answer["Items"][0]))

    def stream(self, stream: str, *, after: int = 0) -> Iterator[Envelope]:
        """The stream's events in order, read consistently, those beyond the sequence `after`."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="#stream = :stream AND #sequence > :after",
            ExpressionAttributeNames={**_STREAM_NAME, "#sequence": "sequence"},
            ExpressionAttributeValues={":stream": pack(stream), ":after": pack(after)},
            ConsistentRead=True,
        )
        return (from_item(item) for page in pages for item in page["Items"])

    def story(self, correlation_id: str) -> Iterator[tuple[str, int]]:
        """Stream and sequence of the story's events on other streams than its first. The index may lag by moments."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=STORY,
            KeyConditionExpression="story = :story",
            ExpressionAttributeValues={":story": pack(correlation_id)},
        )
        for page in pages:
            for item in page["Items"]:
                keys = unpack_item(item)
                yield keys["stream"], keys["sequence"]

    def append(self, envelope: Envelope) -> dict[str, Any]:
        """The part of a transaction that appends the event, if its place in the stream is still free."""
        return {
            "Put": {
                "TableName": self._table,
                "Item": to_item(envelope),
                "ConditionExpression": "attribute_not_exists(#stream)",
                "ExpressionAttributeNames": _STREAM_NAME,
            }
        }

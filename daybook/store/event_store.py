"""The event store: append-only streams of events.

Partition key `stream` (`order/1001`), sort key `sequence` (1, 2, 3 …, without gaps). An append has the condition that
its sequence is free. Each event contains the hash of its predecessor and the proof of its writer, so a change of a
stored event, or a foreign one, can be detected.

Two indexes: the journal has all events by the time of recording. The correlation index has the first event of each run
of events of a correlation in a stream, except the run with which the correlation began.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from daybook.contracts.envelope import GENESIS, MAX_TEXT_LENGTH, Envelope, Metadata, read_metadata
from daybook.contracts.proof import Writer
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.journal_shards import PARTS, JournalShards, journal_bucket, journal_shard
from daybook.store.schema import Index, Schema
from daybook.store.transaction import Backoff, batch_get

Position = tuple[str, int]  # stream and sequence

JOURNAL = "journal"
CORRELATION_INDEX = "correlation"

# `stream` is a reserved word in DynamoDB's expressions.
_STREAM_NAME = {"#stream": "stream"}

_METADATA = tuple(field.name for field in fields(Metadata))
_TEXTS = ("data", "source", "writer")
_HASHES = ("previous", "hash", "proof")
# The attributes in the indexes besides the keys: enough to list events and draw an event trace, without the data.
INDEXED = ("id", "type", "recorded_at", "correlation_id", "causation_id")

SCHEMA = Schema(
    "stream",
    "sequence",
    numbers=frozenset({"sequence"}),
    indexes=(Index(JOURNAL, "bucket", "position", INDEXED), Index(CORRELATION_INDEX, "correlation", "position")),
)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest event of a stream: the fields that its successor needs."""

    sequence: int
    recorded_at: str
    hash: bytes
    id: str
    correlation_id: str

    @classmethod
    def at(cls, envelope: Envelope) -> Self:
        """The head of the stream whose newest event is this one."""
        m = envelope.metadata
        return cls(m.sequence, m.recorded_at, envelope.hash, m.id, m.correlation_id)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that is to be appended. `successor` says how a missing correlation id is filled in."""

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


def successor(draft: Draft, head: Head | None, now: str, writer: Writer) -> Envelope:
    """The draft as the next event of its stream after `head` (None: as the first event), recorded at `now` by `writer`.

    A draft without a correlation id gets that of its predecessor in the stream, which becomes its cause. As the first
    event of its stream it begins a new correlation. Raises EventTooLarge.
    """
    correlation_id, causation_id = draft.correlation_id, draft.causation_id
    if correlation_id is None:
        correlation_id = head.correlation_id if head else draft.id
        causation_id = causation_id or (head.id if head else None)
    return Envelope.proven(
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
        in_correlation_index=_is_in_correlation_index(draft.id, correlation_id, head),
        previous=head.hash if head else GENESIS,
        writer=writer,
    )


def _is_in_correlation_index(event_id: str, correlation_id: str, head: Head | None) -> bool:
    """False for the first event of a correlation, and for those that follow an event of their correlation: reading the
    stream finds them.
    """
    return event_id != correlation_id and (head is None or head.correlation_id != correlation_id)


def journal_position(recorded_at: str, stream: str, sequence: int) -> str:
    """The journal's sort key: by the time of recording, then by stream and sequence."""
    return f"{recorded_at}#{stream}#{sequence:012d}"


def to_item(envelope: Envelope, shards: int = PARTS) -> dict[str, Any]:
    """The event as an item of the store's table. `shards` is the number of the journal's shards in its hour."""
    m = envelope.metadata
    item = {name: getattr(m, name) for name in _METADATA}
    position = journal_position(m.recorded_at, m.stream, m.sequence)
    item |= {name: getattr(envelope, name) for name in (*_TEXTS, *_HASHES)}
    item |= {"bucket": journal_bucket(m.recorded_at, journal_shard(m.stream, shards)), "position": position}
    if envelope.in_correlation_index:
        item["correlation"] = m.correlation_id
    return pack_item(item)


class NotAnEvent(ValueError):
    """An item in the store's table is not an event that this system wrote."""


def from_item(item: Mapping[str, Any]) -> Envelope:
    """The event in an item of the store's table. Raises NotAnEvent."""
    try:
        values = unpack_item(item)
        data, source, writer = texts = [values[name] for name in _TEXTS]
        previous, own_hash, proof = hashes = [values[name] for name in _HASHES]
        if not all(isinstance(text, str) for text in texts) or not 0 < len(writer) <= MAX_TEXT_LENGTH:
            msg = "data, source and writer of an item in the store must be strings"
            raise NotAnEvent(msg)
        if not all(isinstance(each, bytes) and len(each) == len(GENESIS) for each in hashes):
            msg = f"previous, hash and proof of an item in the store must be binary, of {len(GENESIS)} bytes"
            raise NotAnEvent(msg)
        return Envelope(read_metadata(values), data, source, "correlation" in values, previous, own_hash, writer, proof)
    except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        msg = "an item in the store is not a complete event"
        raise NotAnEvent(msg) from error


def _position(item: Mapping[str, Any]) -> Position:
    keys = unpack_item({name: item[name] for name in ("stream", "sequence")})
    return keys["stream"], keys["sequence"]


class EventStore:
    """Reads one stage's store, and builds the writes that append to it. `dynamodb` is a botocore or boto3 client."""

    def __init__(self, dynamodb: Any, table: str, shards: JournalShards) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._shards = shards

    def head(self, stream: str) -> Head | None:
        """The newest event of the stream, or None if the stream does not exist. A consistent read."""
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

    def stream(self, stream: str, *, after: int = 0, page_size: int | None = None) -> Iterator[Envelope]:
        """The stream's events with a sequence greater than `after`, in order. A consistent read.

        Each request reads up to 1 MB, or `page_size` events, which costs less if the iterator is not read to its end.
        """
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="#stream = :stream AND #sequence > :after",
            ExpressionAttributeNames={**_STREAM_NAME, "#sequence": "sequence"},
            ExpressionAttributeValues={":stream": pack(stream), ":after": pack(after)},
            ConsistentRead=True,
            PaginationConfig={"PageSize": page_size},
        )
        return (from_item(item) for page in pages for item in page["Items"])

    def items(self, positions: Collection[Position], backoff: Backoff) -> dict[Position, Mapping[str, Any]]:
        """The items at these positions, if they exist. At most limits.BATCH_GET_ITEMS positions. A consistent read.

        Raises OutOfTime.
        """
        keys = [pack_item({"stream": stream, "sequence": sequence}) for stream, sequence in positions]
        request = {self._table: {"Keys": keys, "ConsistentRead": True}}
        return {_position(item): item for _, item in batch_get(self._dynamodb, request, backoff)}

    def positions_of_correlation(self, correlation_id: str) -> Iterator[tuple[str, int]]:
        """Stream and sequence of the correlation's events that begin a run of them in a stream, without the first one.

        The index is eventually consistent: events of the last seconds may be missing.
        """
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=CORRELATION_INDEX,
            KeyConditionExpression="correlation = :correlation",
            ExpressionAttributeValues={":correlation": pack(correlation_id)},
        )
        for page in pages:
            for item in page["Items"]:
                keys = unpack_item(item)
                yield keys["stream"], keys["sequence"]

    def append(self, envelope: Envelope) -> dict[str, Any]:
        """The part of a transaction that appends the event, on the condition that its sequence is free."""
        return {
            "Put": {
                "TableName": self._table,
                "Item": to_item(envelope, self._shards.of_hour(envelope.metadata.recorded_at)),
                "ConditionExpression": "attribute_not_exists(#stream)",
                "ExpressionAttributeNames": _STREAM_NAME,
            }
        }

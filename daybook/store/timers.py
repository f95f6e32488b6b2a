"""Timers: events that are recorded at a scheduled time. Until then, each is a row in the due table.

Partition key `slot` (minute and shard: `2026-11-23T19:10#3`), sort key `due` (time and event id). One more row, the
watermark, holds the minute before which all slots are permanently empty. If it is lost, fire-timers scans the table for
the oldest row.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.contract import Place
from daybook.contracts.envelope import canonical
from daybook.contracts.proof import Writer
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.event_store import Draft
from daybook.store.schema import Schema
from daybook.store.transaction import write_item

# One partition accepts 1,000 writes a second (DynamoDB's quota), and one minute may have many timers.
SHARDS = 8

SCHEMA = Schema("slot", "due")

# A minute is finished only after this time: clocks differ, and a transaction that schedules a timer may be in progress.
MARGIN = timedelta(minutes=5)

_MINUTE = len("2026-11-23T19:10")
_WATERMARK = {"slot": "watermark", "due": "watermark"}
# DynamoDB's names of the keys at which a page of a scan begins and ends.
_BEGIN, _END = "ExclusiveStartKey", "LastEvaluatedKey"
_KINDS = dict.fromkeys((field.name for field in fields(Draft)), (str,)) | {
    "version": (int,),
    "correlation_id": (str, type(None)),
    "causation_id": (str, type(None)),
}


class NotATimer(ValueError):
    """A row of the due table is not a timer that this system wrote."""


@dataclass(frozen=True, slots=True)
class Timer:
    """An event that is to be recorded at `draft.time`, and the position in its stream that its contract allows.

    `proof` is the HMAC of the canonical form, by the key of the consumer that has scheduled it: `draft.producer`.
    """

    draft: Draft
    place: Place
    proof: bytes

    @classmethod
    def proven(cls, draft: Draft, place: Place, writer: Writer) -> Self:
        """The timer with its proof."""
        return cls(draft, place, writer.prove(_content(draft, place)))

    @property
    def content(self) -> bytes:
        """The canonical form, which the proof covers."""
        return _content(self.draft, self.place)

    @property
    def key(self) -> dict[str, str]:
        """The key of its row."""
        shard = zlib.crc32(self.draft.id.encode()) % SHARDS
        time = self.draft.time
        return {"slot": f"{time[:_MINUTE]}#{shard}", "due": f"{time}#{self.draft.id}"}


@dataclass(frozen=True, slots=True)
class Watermark:
    """The first minute that may have rows. All slots before it are permanently empty.

    With `after` a scan is in progress: it has read the table up to this key, and `minute` is the oldest minute so far.
    """

    minute: datetime
    after: Mapping[str, str] | None = None


def minute(moment: datetime) -> datetime:
    """The start of the minute that contains the moment."""
    return moment.replace(second=0, microsecond=0)


def slots(of: datetime) -> list[str]:
    """The slots of one minute."""
    return [f"{clock.timestamp(of)[:_MINUTE]}#{shard}" for shard in range(SHARDS)]


def to_item(timer: Timer) -> dict[str, Any]:
    """The timer as a row of the due table."""
    return pack_item({**timer.key, **asdict(timer.draft), "place": str(timer.place), "proof": timer.proof})


def from_item(item: Mapping[str, Any]) -> Timer:
    """The timer in a row. Raises NotATimer."""
    try:
        values = unpack_item(item)
        draft, place = Draft(**{name: values[name] for name in _KINDS}), Place(values["place"])
        due, proof = values["due"], values["proof"]
    except (KeyError, ValueError, TypeError) as error:
        msg = "a row of the due table is not a complete timer"
        raise NotATimer(msg) from error
    if not isinstance(proof, bytes) or not all(isinstance(getattr(draft, name), kind) for name, kind in _KINDS.items()):
        msg = "a row of the due table has a value of a wrong type"
        raise NotATimer(msg)
    timer = Timer(draft, place, proof)
    # A run selects rows by this key, so the proof must cover it. The slot may differ: a run may move a row.
    if due != timer.key["due"]:
        msg = "a row of the due table has the key of another timer"
        raise NotATimer(msg)
    return timer


class DueTable:
    """Reads one stage's due table, and builds the writes to it. `dynamodb` is a botocore or boto3 client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def schedule(self, timer: Timer) -> dict[str, Any]:
        """The part of a transaction that schedules the timer, on the condition that it is not scheduled yet."""
        item = to_item(timer)
        names = {"#slot": "slot"}
        condition = {"ConditionExpression": "attribute_not_exists(#slot)", "ExpressionAttributeNames": names}
        return {"Put": {"TableName": self._table, "Item": item, **condition}}

    def deletion(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a transaction that deletes a row, on the condition that it exists."""
        key = {"slot": item["slot"], "due": item["due"]}
        names = {"#slot": "slot"}
        condition = {"ConditionExpression": "attribute_exists(#slot)", "ExpressionAttributeNames": names}
        return {"Delete": {"TableName": self._table, "Key": key, **condition}}

    def move(self, item: Mapping[str, Any], to: datetime) -> dict[str, dict[str, Any]]:
        """The parts of a transaction that move a row to the slot of another minute, on the condition that it exists."""
        shard = unpack_item(item)["slot"].rpartition("#")[2]
        moved = {**item, **pack_item({"slot": f"{clock.timestamp(to)[:_MINUTE]}#{shard}"})}
        return {"timer": self.deletion(item), "moved timer": {"Put": {"TableName": self._table, "Item": moved}}}

    def remove(self, item: Mapping[str, Any]) -> None:
        """Delete a row, if it exists, without a transaction."""
        key = {"slot": item["slot"], "due": item["due"]}
        write_item(self._dynamodb.delete_item, TableName=self._table, Key=key)

    def due(self, slot: str, now: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a slot that are due at the time `now`, in order. A consistent read."""
        # In the sort key `#` follows the time. `$` is the next character, so rows of the time `now` are included.
        yield from self._query("slot = :slot AND due < :end", {":slot": slot, ":end": f"{now}$"})

    def watermark(self) -> Watermark | None:
        """The watermark, or None if there is none. A consistent read."""
        found = self._query("slot = :slot AND due = :due", {f":{name}": value for name, value in _WATERMARK.items()})
        values = next((unpack_item(item) for item in found), None)
        return Watermark(clock.moment(values["minute"]), values.get("after")) if values else None

    def set_watermark(self, watermark: Watermark) -> None:
        """Write the watermark. An earlier minute than before does no harm."""
        item: dict[str, object] = {**_WATERMARK, "minute": clock.timestamp(watermark.minute)}
        if watermark.after:
            item["after"] = watermark.after
        write_item(self._dynamodb.put_item, TableName=self._table, Item=pack_item(item))

    def search(self, found: Watermark) -> Watermark:
        """Scan one more page of the table for a row that is older than the oldest found so far."""
        begin = {_BEGIN: pack_item(found.after)} if found.after else {}
        page = self._dynamodb.scan(TableName=self._table, ProjectionExpression="slot", ConsistentRead=True, **begin)
        minutes = [at for item in page["Items"] if (at := _minute_of(unpack_item(item)["slot"]))]
        end = page.get(_END)
        return Watermark(min([found.minute, *minutes]), unpack_item(end) if end else None)

    def _query(self, condition: str, values: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues={name: pack(value) for name, value in values.items()},
            ConsistentRead=True,
        )
        return (item for page in pages for item in page["Items"])


def _content(draft: Draft, place: Place) -> bytes:
    return canonical({**asdict(draft), "place": str(place)}).encode()


def _minute_of(slot: str) -> datetime | None:
    """The minute of a slot, or None if the text is not a slot (the watermark's key)."""
    try:
        return clock.moment(f"{slot[:_MINUTE]}Z")
    except ValueError:
        return None

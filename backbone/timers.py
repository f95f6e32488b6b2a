"""Timers: events that are recorded at a later time. A row in the due table stands for each until then.

Partition key `slot` (minute and shard: `2026-11-23T19:10#3`), sort key `due` (time and event id). One more row, the
watermark, says up to which minute all slots are empty for good.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from backbone import clock
from backbone.attributes import pack, pack_item, unpack_item
from backbone.contract import Place
from backbone.store import Draft

# One partition takes 1,000 writes a second (DynamoDB's quota); many timers may be armed for one minute.
SHARDS = 8

# Clocks differ, and whoever has armed a timer may still be committing: a minute is finished only after this time.
MARGIN = timedelta(minutes=5)

_MINUTE = len("2026-11-23T19:10")
_WATERMARK = {"slot": "watermark", "due": "watermark"}
_DRAFT = tuple(field.name for field in fields(Draft))


class NotATimer(ValueError):
    """A row of the due table is not a timer that this system wrote."""


@dataclass(frozen=True, slots=True)
class Timer:
    """An event to be recorded at `draft.time`, and where in its stream it may stand."""

    draft: Draft
    place: Place

    @property
    def key(self) -> dict[str, str]:
        """Where its row stands."""
        shard = zlib.crc32(self.draft.id.encode()) % SHARDS
        time = self.draft.time
        return {"slot": f"{time[:_MINUTE]}#{shard}", "due": f"{time}#{self.draft.id}"}


def minute(moment: datetime) -> datetime:
    """The minute that a moment lies in."""
    return moment.replace(second=0, microsecond=0)


def slots(of: datetime) -> list[str]:
    """The slots of one minute."""
    return [f"{clock.timestamp(of)[:_MINUTE]}#{shard}" for shard in range(SHARDS)]


def from_item(item: Mapping[str, Any]) -> Timer:
    """The timer in a row. Raises NotATimer."""
    try:
        values = unpack_item(item)
        return Timer(Draft(**{name: values[name] for name in _DRAFT}), Place(values["place"]))
    except (KeyError, ValueError, TypeError) as error:
        msg = "a row of the due table lacks part of a timer"
        raise NotATimer(msg) from error


class DueTable:
    """Reads one stage's due table, and says how to write to it."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def arm(self, timer: Timer) -> dict[str, Any]:
        """The part of a transaction that arms the timer, if it is not armed yet."""
        item = pack_item({**timer.key, **asdict(timer.draft), "place": str(timer.place)})
        names = {"#slot": "slot"}
        condition = {"ConditionExpression": "attribute_not_exists(#slot)", "ExpressionAttributeNames": names}
        return {"Put": {"TableName": self._table, "Item": item, **condition}}

    def disarm(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a transaction that takes a row away, if it is there."""
        key = {"slot": item["slot"], "due": item["due"]}
        names = {"#slot": "slot"}
        condition = {"ConditionExpression": "attribute_exists(#slot)", "ExpressionAttributeNames": names}
        return {"Delete": {"TableName": self._table, "Key": key, **condition}}

    def remove(self, item: Mapping[str, Any]) -> None:
        """Take a row away by itself, whether it is still there or not."""
        self._dynamodb.delete_item(TableName=self._table, Key={"slot": item["slot"], "due": item["due"]})

    def due(self, slot: str, now: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a slot whose time has come, in order, read consistently."""
        # `$` is the character after `#`, with which the id begins.
        yield from self._query("slot = :slot AND due < :end", {":slot": slot, ":end": f"{now}$"})

    def watermark(self) -> datetime | None:
        """The first minute that may not be finished; None before the first sweep."""
        found = self._query("slot = :slot AND due = :due", {f":{name}": value for name, value in _WATERMARK.items()})
        return next((clock.moment(unpack_item(item)["minute"]) for item in found), None)

    def set_watermark(self, first_unfinished: datetime) -> None:
        """Say from which minute the next sweep must look. One that is set back does no harm."""
        item = {**_WATERMARK, "minute": clock.timestamp(first_unfinished)}
        self._dynamodb.put_item(TableName=self._table, Item=pack_item(item))

    def _query(self, condition: str, values: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues={name: pack(value) for name, value in values.items()},
            ConsistentRead=True,
        )
        return (item for page in pages for item in page["Items"])

"""The ledger: what became of each event at each consumer, for good.

Partition key `event` (the event's id), sort key `consumer`. A row is written in the same transaction as all that the
consumer did, on the condition that it was not done before: that is what makes a second delivery harmless.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backbone.attributes import pack, pack_item, unpack_item

COMMITTED = "committed"
_NOT_DONE = "attribute_not_exists(#event)"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `emitted` are the ids of the events that came of it; `details` is what a kind of consumer adds."""

    event: str
    consumer: str
    state: str
    at: str
    stream: str
    sequence: int
    emitted: Sequence[str] = ()
    details: Mapping[str, object] | None = None


_FIELDS = ("event", "consumer", "state", "at", "stream", "sequence", "emitted")


class Ledger:
    """Reads one stage's ledger, and says how to write to it. `dynamodb` is a client of botocore or boto3."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def record(self, entry: Entry) -> dict[str, Any]:
        """The part of a transaction that notes the event as done, if it was not."""
        item: dict[str, object] = {name: getattr(entry, name) for name in _FIELDS if name != "emitted"}
        item |= entry.details or {}
        if entry.emitted:
            item["emitted"] = list(entry.emitted)
        return {
            "Put": {
                "TableName": self._table,
                "Item": pack_item(item),
                "ConditionExpression": _NOT_DONE,
                "ExpressionAttributeNames": {"#event": "event"},
            }
        }

    def find(self, event: str, consumer: str) -> Entry | None:
        """What became of the event at the consumer, read consistently."""
        answer = self._dynamodb.get_item(
            TableName=self._table, Key=pack_item({"event": event, "consumer": consumer}), ConsistentRead=True
        )
        return from_item(answer["Item"]) if "Item" in answer else None

    def of_event(self, event: str) -> list[Entry]:
        """What became of the event at every consumer, read consistently."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="#event = :event",
            ExpressionAttributeNames={"#event": "event"},
            ExpressionAttributeValues={":event": pack(event)},
            ConsistentRead=True,
        )
        return [from_item(item) for page in pages for item in page["Items"]]


def from_item(item: Mapping[str, Any]) -> Entry:
    """The row that the ledger keeps in `item`."""
    values = unpack_item(item)
    known = {name: values[name] for name in _FIELDS if name in values}
    return Entry(**known, details={name: value for name, value in values.items() if name not in _FIELDS})

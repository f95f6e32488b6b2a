"""Tables and their indexes: items by partition, sorted by their sort keys."""

import time
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from daybook.testing.dynamodb.errors import NotSupported, invalid
from daybook.testing.dynamodb.values import Comparable, Item, Value, comparable, size

Key = dict[str, Value]
Position = tuple[Comparable, ...]

_NOT_VALID = "One or more parameter values are not valid."
_INVALID = "One or more parameter values were invalid:"
# The maximum sizes of keys, in bytes.
_PARTITION_KEY, _SORT_KEY = 2048, 1024


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of the key attributes of a table or of an index."""

    partition: str
    sort: str | None

    @classmethod
    def of(cls, schema: Iterable[Mapping[str, str]]) -> "Keys":
        """The keys of a KeySchema."""
        by_role = {each["KeyType"]: each["AttributeName"] for each in schema}
        return cls(by_role["HASH"], by_role.get("RANGE"))

    @property
    def names(self) -> tuple[str, ...]:
        """The partition key, and the sort key if there is one."""
        return (self.partition, self.sort) if self.sort else (self.partition,)


@dataclass(slots=True)
class _Partition:
    items: dict[Position, Item] = field(default_factory=dict)
    order: list[Position] = field(default_factory=list)


class Collection:
    """The items of a table or of an index. `tie` are the names of the table's keys, which distinguish items of an index
    with the same index keys.
    """

    def __init__(self, keys: Keys, tie: tuple[str, ...] = (), *, carries: frozenset[str] | None = None) -> None:
        self.keys = keys
        self.carries = carries
        # The attributes that determine an item's position within its partition.
        self._place = tuple(dict.fromkeys((*keys.names[1:], *tie)))
        self.start = tuple(dict.fromkeys((*keys.names, *tie)))
        self._partitions: dict[Comparable, _Partition] = {}

    def holds(self, item: Item) -> bool:
        """Whether the item has the keys. An index does not contain other items."""
        return all(name in item for name in self.keys.names)

    def find(self, key: Item) -> Item | None:
        """The item with that key."""
        partition = self._partitions.get(comparable(key[self.keys.partition]))
        return partition.items.get(self._position(key)) if partition else None

    def entry(self, item: Item) -> Item:
        """The attributes of the item that are stored here."""
        return item if self.carries is None else {name: item[name] for name in item if name in self.carries}

    def put(self, item: Item) -> None:
        """Store the item, or the attributes that the index projects."""
        item = self.entry(item)
        partition = self._partitions.setdefault(comparable(item[self.keys.partition]), _Partition())
        position = self._position(item)
        if position not in partition.items:
            insort(partition.order, position)
        partition.items[position] = item

    def remove(self, item: Item) -> None:
        """Remove the item with this item's keys."""
        name = comparable(item[self.keys.partition])
        partition, position = self._partitions[name], self._position(item)
        del partition.items[position]
        del partition.order[bisect_right(partition.order, position) - 1]
        if not partition.order:
            del self._partitions[name]

    def query(self, partition: Value, *, forward: bool, after: Item | None) -> Iterator[Item]:
        """The items of a partition in order, after the key `after`."""
        found = self._partitions.get(comparable(partition), _Partition())
        order = found.order
        if after is not None:
            place = bisect_right(order, self._position(after))
            order = order[place:] if forward else order[: place - (self._position(after) in found.items)]
        return (found.items[position] for position in (order if forward else reversed(order)))

    def scan(self, segment: int, segments: int, *, after: Item | None) -> Iterator[Item]:
        """The items of one segment, in an order of DynamoDB's own, after the key `after`."""
        begin = _hash_position(comparable(after[self.keys.partition])) if after else None
        for place in sorted(map(_hash_position, self._partitions)):
            if place[0] * segments >> 32 == segment and (begin is None or place >= begin):
                partition = self._partitions[place[2]]
                passed = bisect_right(partition.order, self._position(after)) if after and place == begin else 0
                yield from (partition.items[position] for position in partition.order[passed:])

    def __len__(self) -> int:
        return sum(len(partition.order) for partition in self._partitions.values())

    def _position(self, item: Item) -> Position:
        return tuple(comparable(item[name]) for name in self._place)


def _hash_position(partition: Comparable) -> tuple[int, str, Comparable]:
    """The position of a partition: by a hash, as in DynamoDB, so that no test relies on an order."""
    digest = blake2b(repr(partition).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big"), str(partition), partition


class Table:
    """A table, created from a CreateTable request."""

    def __init__(self, definition: Mapping[str, Any]) -> None:
        self.definition = definition
        self.name: str = definition["TableName"]
        self.id = str(uuid4())
        self.created = round(time.time(), 3)  # DynamoDB rounds to milliseconds
        self.keys = Keys.of(definition["KeySchema"])
        self.items = Collection(self.keys)
        self.indexes = {
            index["IndexName"]: _index(index, self.keys) for index in definition.get("GlobalSecondaryIndexes", ())
        }
        self.kinds = {each["AttributeName"]: each["AttributeType"] for each in definition["AttributeDefinitions"]}
        self._pending: list[tuple[Item | None, Item | None]] = []
        self.indexes_lag = False
        self.protected = False
        if self.kinds.keys() != {*self.keys.names, *(n for index in self.indexes.values() for n in index.keys.names)}:
            msg = (
                f"{_INVALID} Number of attributes in KeySchema does not exactly match number of attributes defined in "
            )
            msg += f"AttributeDefinitions: {self.name}"
            raise invalid(msg)
        if unknown := sorted(set(self.kinds.values()) - {"S", "N"}):
            msg = f"keys of the type {unknown[0]}"
            raise NotSupported(msg)

    def collection(self, index: str | None) -> Collection:
        """The items of the table, or of an index."""
        if index is None:
            return self.items
        if index not in self.indexes:
            msg = f"The table does not have the specified index: {index}; {self.name} has {sorted(self.indexes)}"
            raise invalid(msg)
        return self.indexes[index]

    def replace(self, before: Item | None, after: Item | None) -> None:
        """Replace an item. The indexes follow at once, or when they no longer lag."""
        if after is not None:
            self.items.put(after)
        elif before is not None:
            self.items.remove(before)
        self._pending.append((before, after))
        if not self.indexes_lag:
            self.catch_up()

    def catch_up(self) -> None:
        """Apply all writes to the indexes."""
        for before, after in self._pending:
            for index in self.indexes.values():
                if before is not None and index.holds(before):
                    index.remove(before)
                if after is not None and index.holds(after):
                    index.put(after)
        self._pending.clear()

    def check_key(self, key: Mapping[str, Value]) -> None:
        """Raise ServiceError unless this is a key of the table."""
        if key.keys() != set(self.keys.names) or any(self.kinds[name] not in value for name, value in key.items()):
            raise invalid("The provided key element does not match the schema")
        self._check_sizes(key, self.keys)

    def key_of(self, item: Item) -> Key:
        """The key of an item that is to be written. Raises ServiceError for a bad one, also of an index."""
        for name in self.keys.names:
            if name not in item:
                msg = f"{_INVALID} Missing the key {name} in the item"
                raise invalid(msg)
            if self.kinds[name] not in item[name]:
                (kind,) = item[name]
                msg = f"{_INVALID} Type mismatch for key {name} expected: {self.kinds[name]} actual: {kind}"
                raise invalid(msg)
        self._check_sizes(item, self.keys)
        self.check_index_keys(item)
        return {name: item[name] for name in self.keys.names}

    def check_index_keys(self, item: Item) -> None:
        """Raise ServiceError if what the item has for the keys of an index cannot be such a key."""
        for index_name, index in self.indexes.items():
            for name in index.keys.names:
                if name in item and self.kinds[name] not in item[name]:
                    (kind,) = item[name]
                    msg = f"{_INVALID} Type mismatch for Index Key {name} Expected: {self.kinds[name]} Actual: {kind} "
                    msg += f"IndexName: {index_name}"
                    raise invalid(msg)
            self._check_sizes(item, index.keys)

    def _check_sizes(self, item: Mapping[str, Value], keys: Keys) -> None:
        for name in keys.names:
            largest, role = (_PARTITION_KEY, "hashkey") if name == keys.partition else (_SORT_KEY, "rangekey")
            if item.get(name) == {"S": ""}:
                msg = f"{_NOT_VALID} The AttributeValue for a key attribute cannot contain an empty string value. "
                msg += f"Key: {name}"
                raise invalid(msg)
            if name in item and size(item[name]) > largest:
                msg = f"{_INVALID} Size of {role} has exceeded the maximum size limit of {largest} bytes"
                raise invalid(msg)

    def described(self) -> dict[str, Any]:
        """The answer of DescribeTable. DynamoDB's `ItemCount` is up to six hours old."""
        described = {
            "TableName": self.name,
            "TableId": self.id,
            "ItemCount": len(self.items),
            "TableStatus": "ACTIVE",
            "CreationDateTime": self.created,
            "KeySchema": self.definition["KeySchema"],
            "AttributeDefinitions": self.definition["AttributeDefinitions"],
            "DeletionProtectionEnabled": self.protected,
        }
        if indexes := self.definition.get("GlobalSecondaryIndexes"):
            described["GlobalSecondaryIndexes"] = [{**index, "IndexStatus": "ACTIVE"} for index in indexes]
        return described


def _index(definition: Mapping[str, Any], table: Keys) -> Collection:
    keys, projection = Keys.of(definition["KeySchema"]), definition["Projection"]
    carries = None
    if projection["ProjectionType"] != "ALL":
        carries = frozenset((*keys.names, *table.names, *projection.get("NonKeyAttributes", ())))
    return Collection(keys, table.names, carries=carries)

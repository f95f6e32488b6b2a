"""Reads whole tables in parallel, page by page, and rows by their keys. Memory holds a few pages."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from daybook.operate.connection import Connection
from daybook.operate.reading import chunks
from daybook.store.attributes import unpack

# A page could have many small rows, and each takes one or two kilobytes when parsed.
_PAGE_SIZE = 3_000

Item = Mapping[str, Any]
Place = tuple[str, Any]  # stream and sequence, which may be any number in an item that is not an event


class Table:
    """A table, and the attributes that are read. Without attributes, all are read."""

    def __init__(self, connection: Connection, name: str, *attributes: str) -> None:
        self._connection = connection
        self._name = name
        self._attributes = attributes
        self._only: dict[str, Any] = {}
        if attributes:
            aliases = {f"#{attribute}": attribute for attribute in attributes}
            self._only = {"ProjectionExpression": ", ".join(aliases), "ExpressionAttributeNames": aliases}

    def segment(self, number: int, of: int, *, consistent: bool) -> Iterator[Item]:
        """The items of one segment of so many, in the order of the scan."""
        request: dict[str, Any] = {"Segment": number, "TotalSegments": of, "ConsistentRead": consistent}
        request["Limit"] = _PAGE_SIZE
        while True:
            answer = self._connection.dynamodb.scan(TableName=self._name, **request, **self._only)
            items = answer["Items"][::-1]
            request["ExclusiveStartKey"] = answer.get("LastEvaluatedKey")
            del answer  # so that items that were yielded can be freed
            while items:
                yield items.pop()
            if not request["ExclusiveStartKey"]:
                return

    def at(self, places: Collection[Place]) -> dict[Place, Item]:
        """The existing items of the store at these places, by place. An event never changes, so that only those that
        are not found are read consistently, which costs twice as much.
        """
        found: dict[Place, Item] = {}
        for consistent in (False, True):
            left = [{"stream": place[0], "sequence": place[1]} for place in places if place not in found]
            for item in self.items(left, consistent=consistent):
                found[unpack(item["stream"]), unpack(item["sequence"])] = item
        return found

    def items(self, keys: Iterable[Mapping[str, object]], *, consistent: bool = True) -> Iterator[Item]:
        """The existing items with these keys."""
        for some in chunks(keys):
            yield from self._connection.items(self._name, some, self._attributes, consistent=consistent)

"""Reading whole tables side by side, page by page, and rows by their keys, never more than a few pages at once."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from daybook.operate.connection import Connection
from daybook.operate.reading import chunks
from daybook.store.attributes import unpack_item

# Parts of a table that are read side by side. Each has one page in hand, of 1 MB at the most, which is ten times as
# much once it is read. Four keep a processor busy.
SEGMENTS = 4
# Of small rows a page would hold many, and each takes a kilobyte or two once it is read.
_MOST_OF_A_PAGE = 3_000

Item = Mapping[str, Any]


class Table:
    """One table, of whose items only some attributes are wanted; all, unless they are named."""

    def __init__(self, connection: Connection, name: str, *attributes: str) -> None:
        self._connection = connection
        self._name = name
        self._attributes = attributes
        self._only: dict[str, Any] = {}
        if attributes:
            aliases = {f"#{attribute}": attribute for attribute in attributes}
            self._only = {"ProjectionExpression": ", ".join(aliases), "ExpressionAttributeNames": aliases}

    def segment(self, number: int, *, consistent: bool) -> Iterator[Item]:
        """The items of one segment, in the table's own order."""
        request: dict[str, Any] = {"Segment": number, "TotalSegments": SEGMENTS, "ConsistentRead": consistent}
        request["Limit"] = _MOST_OF_A_PAGE
        while True:
            answer = self._connection.dynamodb.scan(TableName=self._name, **request, **self._only)
            items = answer["Items"][::-1]
            request["ExclusiveStartKey"] = answer.get("LastEvaluatedKey")
            del answer  # so that of the page only what is still to be handed out takes memory
            while items:
                yield items.pop()
            if not request["ExclusiveStartKey"]:
                return

    def rows(self, keys: Iterable[Mapping[str, object]]) -> Iterator[dict[str, Any]]:
        """The rows with these keys, unpacked, as far as there are any; read consistently."""
        for some in chunks(keys):
            yield from map(unpack_item, self._connection.items(self._name, some, self._attributes))

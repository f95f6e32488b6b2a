"""Reading whole tables side by side, page by page, and rows by their keys, never more than a few pages at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

from daybook.operate.connection import Connection
from daybook.store.attributes import pack_item, unpack_item

# Parts of a table that are read side by side. Each has one page in hand, of 1 MB at the most, which is ten times as
# much once it is read. Four keep a processor busy.
SEGMENTS = 4
# Of small rows a page would hold many, and each takes a kilobyte or two once it is read.
_MOST_OF_A_PAGE = 3_000
# DynamoDB's quota for one BatchGetItem.
MOST_READS = 100

_TICK = 0.2  # seconds between two looks at how far it has come

Item = Mapping[str, Any]


class Table:
    """One table, of whose items only some attributes are wanted; all, unless they are named."""

    def __init__(self, connection: Connection, name: str, *attributes: str) -> None:
        self._dynamodb = connection.dynamodb
        self._name = name
        self._only: dict[str, Any] = {}
        if attributes:
            aliases = {f"#{attribute}": attribute for attribute in attributes}
            self._only = {"ProjectionExpression": ", ".join(aliases), "ExpressionAttributeNames": aliases}

    def segment(self, number: int, *, consistent: bool) -> Iterator[Item]:
        """The items of one segment, in the table's own order."""
        request: dict[str, Any] = {"Segment": number, "TotalSegments": SEGMENTS, "ConsistentRead": consistent}
        request["Limit"] = _MOST_OF_A_PAGE
        while True:
            answer = self._dynamodb.scan(TableName=self._name, **request, **self._only)
            items = answer["Items"][::-1]
            request["ExclusiveStartKey"] = answer.get("LastEvaluatedKey")
            del answer  # so that of the page only what is still to be handed out takes memory
            while items:
                yield items.pop()
            if not request["ExclusiveStartKey"]:
                return

    def rows(self, keys: Iterable[Mapping[str, object]]) -> Iterator[dict[str, Any]]:
        """The rows with these keys, unpacked, as far as they are there; read consistently."""
        wanted = list(keys)
        for start in range(0, len(wanted), MOST_READS):
            asked = {"Keys": [pack_item(key) for key in wanted[start : start + MOST_READS]], "ConsistentRead": True}
            request: Mapping[str, Any] = {self._name: asked | self._only}
            while request:
                answer = self._dynamodb.batch_get_item(RequestItems=request)
                yield from map(unpack_item, answer["Responses"].get(self._name, []))
                request = answer.get("UnprocessedKeys") or {}


def side_by_side(work: Callable[[int, Event], None], *, tick: Callable[[], None]) -> None:
    """Do `work` for each segment. The first error ends all, and so does Ctrl-C: each is told by the event to stop.

    `tick` is called from time to time while they work, by the thread that has called.
    """
    stop = Event()
    with ThreadPoolExecutor(max_workers=SEGMENTS) as pool:
        waiting = {pool.submit(work, number, stop) for number in range(SEGMENTS)}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=_TICK, return_when=FIRST_COMPLETED)
                for each in done:
                    each.result()
                tick()
        except BaseException:
            stop.set()
            raise

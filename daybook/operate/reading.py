"""Rows of the ledger and events of the store by their keys: any number of them, a hundred in one call."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import chain, islice
from typing import Any, TypeVar

from daybook.contracts.envelope import Envelope
from daybook.operate.connection import Connection
from daybook.store.journal import Line, Span
from daybook.store.ledger import Entry
from daybook.store.ledger import from_item as entry_in

# DynamoDB's quota for one BatchGetItem.
MOST_READS = 100

T = TypeVar("T")
Item = Mapping[str, Any]
Pair = tuple[str, str]  # an event's id and a consumer
Place = tuple[str, int]  # a stream and a sequence


def chunks(items: Iterable[T], most: int = MOST_READS) -> Iterator[list[T]]:
    """The items in lists of `most`, read as they are asked for."""
    waiting = iter(items)
    while some := list(islice(waiting, most)):
        yield some


def batches(items: Iterable[T], size: Callable[[T], int], *, most: int, most_bytes: int) -> Iterator[list[T]]:
    """The items in lists that one request can hold. `size` is an item's in bytes."""
    batch: list[T] = []
    total = 0
    for item in items:
        if batch and (len(batch) == most or total + size(item) > most_bytes):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size(item)
    if batch:
        yield batch


def entries(
    connection: Connection, pairs: Iterable[Pair], attributes: Iterable[str] = (), *, consistent: bool = True
) -> dict[Pair, Entry]:
    """The ledger's rows of these events at these consumers, or these attributes of them; as far as there are any."""

    def read(some: list[Pair]) -> list[Entry]:
        keys = [{"event": event, "consumer": consumer} for event, consumer in some]
        return list(map(entry_in, connection.items(connection.names.ledger, keys, attributes, consistent=consistent)))

    found = _side_by_side(connection, read, pairs)
    return {(entry.event, entry.consumer): entry for entry in found}


def place_of(connection: Connection, event_id: str) -> Place | None:
    """Where the event with this id stands in the store, if the ledger has a row that says it."""
    return next(((row.stream, row.sequence) for row in connection.ledger.of_event(event_id) if row.stream), None)


def stored(connection: Connection, places: Iterable[Place], *, consistent: bool = True) -> dict[Place, Item]:
    """The store's items at these places, as far as there are any."""

    def read(some: list[Place]) -> list[Item]:
        keys = [{"stream": stream, "sequence": sequence} for stream, sequence in some]
        return list(connection.items(connection.names.store, keys, consistent=consistent))

    found = _side_by_side(connection, read, places)
    return {(item["stream"]["S"], int(item["sequence"]["N"])): item for item in found}


def lines_of(connection: Connection, span: Span) -> list[Line]:
    """The journal's lines of a short span, in the order of recording."""
    journal = connection.journal
    buckets = [bucket for hour in span.hours() for bucket in hour]
    found = connection.each(lambda bucket: list(journal.lines(bucket, span)), buckets)
    return sorted(chain.from_iterable(found), key=lambda line: line.order)


def _side_by_side(connection: Connection, read: Callable[[list[T]], list[Any]], keys: Iterable[T]) -> Iterator[Any]:
    _ = connection.dynamodb  # made before several threads want it
    # A table that was tampered with may hold an id twice; a request may not.
    return (item for items in connection.each(read, chunks(dict.fromkeys(keys))) for item in items)


def line_of(event: Envelope) -> Line:
    """The event as the journal lists it."""
    return Line(**{field.name: getattr(event.metadata, field.name) for field in fields(Line)})

"""Reads ledger rows and events by their keys, any number of them, a hundred per call."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import chain, islice
from typing import Any, TypeVar

from daybook.contracts.envelope import Envelope
from daybook.operate.connection import Connection
from daybook.store.journal import JournalEntry, Span
from daybook.store.ledger import LedgerEntry
from daybook.store.ledger import from_item as entry_in
from daybook.store.ledger_keys import of_event

# DynamoDB's quota for one BatchGetItem.
MAX_READS = 100

T = TypeVar("T")
Item = Mapping[str, Any]
Pair = tuple[str, str]  # an event's id and a consumer
Place = tuple[str, int]  # a stream and a sequence


def chunks(items: Iterable[T], most: int = MAX_READS) -> Iterator[list[T]]:
    """The items in lists of `most`, read lazily."""
    waiting = iter(items)
    while some := list(islice(waiting, most)):
        yield some


def batches(items: Iterable[T], size: Callable[[T], int], *, most: int, most_bytes: int) -> Iterator[list[T]]:
    """The items in lists that fit into one request. `size` returns the size of an item in bytes."""
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
) -> dict[Pair, LedgerEntry]:
    """The existing ledger entries of these events at these consumers, or only these attributes of them."""

    def read(some: list[Pair]) -> list[LedgerEntry]:
        keys = [of_event(event, consumer) for event, consumer in some]
        return list(map(entry_in, connection.items(connection.names.ledger, keys, attributes, consistent=consistent)))

    return {(entry.event, entry.consumer): entry for entry in _side_by_side(connection, read, pairs)}


def stored(connection: Connection, places: Iterable[Place], *, consistent: bool = True) -> dict[Place, Item]:
    """The existing items of the store at these places."""

    def read(some: list[Place]) -> list[Item]:
        keys = [{"stream": stream, "sequence": sequence} for stream, sequence in some]
        return list(connection.items(connection.names.store, keys, consistent=consistent))

    found = _side_by_side(connection, read, places)
    return {(item["stream"]["S"], int(item["sequence"]["N"])): item for item in found}


def lines_of(connection: Connection, span: Span) -> list[JournalEntry]:
    """The journal's lines of a short period, in the order of recording."""
    journal = connection.journal
    buckets = [bucket for hour in journal.hours(span) for bucket in hour]
    found = connection.each(lambda bucket: list(journal.entries(bucket, span)), buckets)
    return sorted(chain.from_iterable(found), key=lambda line: line.order)


def _side_by_side(connection: Connection, read: Callable[[list[T]], list[Any]], keys: Iterable[T]) -> Iterator[Any]:
    _ = connection.dynamodb  # create it before threads use it
    # A manipulated table may have an id twice; a request may not.
    return (item for items in connection.each(read, chunks(dict.fromkeys(keys))) for item in items)


def line_of(event: Envelope) -> JournalEntry:
    """The event as the journal lists it."""
    return JournalEntry(**{field.name: getattr(event.metadata, field.name) for field in fields(JournalEntry)})

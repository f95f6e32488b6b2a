"""Lists recorded events from the journal, the newest first."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from daybook.contracts import clock
from daybook.contracts.identity import stream_name
from daybook.operate.connection import Connection
from daybook.store.journal import JournalEntry, Span

# The number of hours that are read at once.
_MAX_BLOCK = 24


@dataclass(frozen=True, slots=True)
class Listing:
    """Events, the newest first. `cut`: there are more. `consistent`: they were read consistently."""

    lines: tuple[JournalEntry, ...]
    cut: bool
    consistent: bool


def events(
    connection: Connection, span: Span, *, event_type: str | None = None, stream: str | None = None, limit: int = 50
) -> Listing:
    """The newest events recorded in the period, at most `limit`.

    `stream` is one stream (`order/1001`), which is read consistently from the store, or a kind of streams (`order/`).
    """
    stream = stream_name(stream) if stream else None
    if stream and not stream.endswith("/") and "/" in stream:
        found = _of_stream(connection, stream, span, event_type)
        lines = tuple(islice(found, limit + 1))
        return Listing(lines[:limit], cut=len(lines) > limit, consistent=True)
    prefix = f"{stream.rstrip('/')}/" if stream else None
    lines = tuple(_newest(connection, span, event_type=event_type, prefix=prefix, limit=limit + 1))
    return Listing(lines[:limit], cut=len(lines) > limit, consistent=False)


def find(connection: Connection, event_id: str, span: Span) -> JournalEntry | None:
    """The event with this id, if it was recorded in the period."""
    for buckets in _blocks(connection, span):
        found = connection.each(
            lambda bucket: next(connection.journal.entries(bucket, span, event_id=event_id), None), buckets
        )
        if lines := [line for line in found if line]:
            return lines[0]
    return None


def _of_stream(connection: Connection, stream: str, span: Span, event_type: str | None) -> Iterator[JournalEntry]:
    since, until = clock.timestamp(span.since), clock.timestamp(span.until)
    for line in connection.journal.of_stream(stream):
        if line.recorded_at < since:  # and all earlier ones
            return
        if line.recorded_at < until and event_type in {None, line.type}:
            yield line


def _newest(
    connection: Connection, span: Span, *, event_type: str | None, prefix: str | None, limit: int
) -> list[JournalEntry]:
    # With a filter, most of a page may not match: read full pages.
    page_size = None if event_type or prefix else limit

    def of_bucket(bucket: str) -> list[JournalEntry]:
        lines = connection.journal.entries(
            bucket, span, event_type=event_type, stream_prefix=prefix, page_size=page_size
        )
        return list(islice(lines, limit))

    newest: list[JournalEntry] = []
    for buckets in _blocks(connection, span):
        found = [line for lines in connection.each(of_bucket, buckets) for line in lines]
        newest += sorted(found, key=lambda line: line.order, reverse=True)
        if len(newest) >= limit:
            break
    return newest[:limit]


def _blocks(connection: Connection, span: Span) -> Iterator[list[str]]:
    """The partitions of the period in blocks of whole hours, the newest first.

    The first blocks are small, because most searches end there; the next blocks are larger.
    """
    hours = connection.journal.hours(span)
    size = 1
    while block := list(islice(hours, size)):
        yield [bucket for hour in block for bucket in hour]
        size = min(2 * size, _MAX_BLOCK)

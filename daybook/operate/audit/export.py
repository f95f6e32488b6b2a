"""Exports the complete history as lines of JSON, in the order of recording.

A line is an event as it is stored: `metadata`, `data` (the JSON text that was stored), `source`, `writer`, and as
hexadecimal texts `previous`, `hash` and `proof`. Its hash is the SHA-256 of the same object without `hash` and `proof`:
keys sorted, no spaces, UTF-8.
"""

import gzip
import hashlib
import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from daybook.contracts.envelope import Envelope, as_dict, canonical
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError, Unsuccessful
from daybook.operate.reading import chunks, stored
from daybook.store.event_store import NotAnEvent, from_item
from daybook.store.journal import JournalEntry, Span

# Read in parallel: the first lines of this many hours, and this many hundreds of events.
_HOURS_AT_ONCE = 4
_BATCHES_AT_ONCE = 8
_LINES_A_CALL = 1_000
# How many missing events are listed.
_MAX_NAMED = 20


class FileExists(OperatorError):
    """The file already exists."""


class HistoryIncomplete(Unsuccessful):
    """The journal has events that are not in the store, or cannot be parsed. No history was written."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The number of events, and the SHA-256 of the file in hexadecimal."""

    events: int
    sha256: str


def line(event: Envelope) -> str:
    """The event as one line of JSON, without a line break."""
    fields = {name: getattr(event, name) for name in ("data", "source", "writer")}
    hashes = {name: getattr(event, name).hex() for name in ("previous", "hash", "proof")}
    return canonical({**fields, **hashes, "metadata": as_dict(event.metadata)})


def events(connection: Connection, span: Span) -> Iterator[Envelope]:
    """The events recorded in the period, in the order of recording, read lazily.

    Raises HistoryIncomplete at the end if events of the journal are missing in the store.
    """
    missing: list[str] = []
    _ = connection.journal  # create it before threads use it
    for block in chunks(chunks(_lines(connection, span)), _BATCHES_AT_ONCE):
        for each in chain.from_iterable(connection.each(partial(_bodies, connection), block)):
            if isinstance(each, Envelope):
                yield each
            else:
                missing.append(each)
    if missing:
        named = "; ".join(missing[:_MAX_NAMED]) + ("; …" if len(missing) > _MAX_NAMED else "")
        raise HistoryIncomplete(
            f"{len(missing)} events of the journal are not in the store: {named}. No history was written; find all "
            "differences with: daybook audit check"
        )


def write(history: Iterable[Envelope], target: Path, *, force: bool) -> Exported:
    """Write the events to a new gzip file that only its owner may read. The same events give the same bytes.

    The file appears when it is complete: after an error or an interruption there is no file. Raises FileExists without
    `force`; OperatorError if the file cannot be written; and the errors of reading the events.
    """
    if not force:
        _check_does_not_exist(target)
    count = 0
    with _temporary_file(target) as (temporary, raw):
        hashing = _Hashing(raw)
        with gzip.GzipFile(filename="", mode="wb", fileobj=hashing, mtime=0) as packed:
            for event in history:
                packed.write(line(event).encode() + b"\n")
                count += 1
        raw.flush()
        os.fsync(raw.fileno())
        if not force:
            _check_does_not_exist(target)
        temporary.replace(target)
    return Exported(count, hashing.sha256.hexdigest())


class _Hashing:
    """A file for writing that hashes what is written."""

    def __init__(self, file: BinaryIO) -> None:
        self.sha256 = hashlib.sha256()
        self._file = file

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _check_does_not_exist(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExists(f"{target} already exists; use another file, or replace it with --force")


@contextmanager
def _temporary_file(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A temporary file in the target's folder, deleted after the block."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
                yield temporary, file
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OperatorError(
            f"{target} cannot be written: {error.strerror or error}; use another file with --to"
        ) from error


def _lines(connection: Connection, span: Span) -> Iterator[JournalEntry]:
    """The lines of the journal, the oldest first."""
    for hours in chunks(connection.journal.hours(span, oldest_first=True), _HOURS_AT_ONCE):
        buckets = [bucket for hour in hours for bucket in hour]
        opened = connection.each(lambda bucket: _opened(connection, bucket, span), buckets)
        yield from heapq.merge(*opened, key=lambda line: line.order)


def _opened(connection: Connection, bucket: str, span: Span) -> Iterator[JournalEntry]:
    """The lines of one partition. The first page is already read."""
    lines = connection.journal.entries(bucket, span, page_size=_LINES_A_CALL, oldest_first=True)
    try:
        first = next(lines, None)
    except KeyError as error:
        raise NotAnEvent("an item of the journal lacks attributes of an event") from error
    return chain([first] if first else [], lines)


def _bodies(connection: Connection, lines: Sequence[JournalEntry]) -> list[Envelope | str]:
    """The events, in the order of the lines; for a missing event, a text that describes it."""
    found = stored(connection, [(each.stream, each.sequence) for each in lines])
    return [_event(each, found.get((each.stream, each.sequence))) for each in lines]


def _event(line_: JournalEntry, item: Any) -> Envelope | str:
    place = f"{line_.stream} #{line_.sequence} ({line_.id})"
    if item is None:
        return place
    try:
        return from_item(item)
    except NotAnEvent:
        return f"{place}, which was not written by this system"

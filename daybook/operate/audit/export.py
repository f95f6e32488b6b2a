"""The complete history as lines of JSON, in the order of recording, for somebody else to keep and to check.

A line is an event as it is stored: `metadata`, `data` (the JSON text that was stored), `source`, `previous`, `hash`.
Its hash is the SHA-256 of the same object without `hash`: keys sorted, no spaces, UTF-8.
"""

import gzip
import hashlib
import heapq
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from daybook.contracts.envelope import Envelope
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError, Unsuccessful
from daybook.operate.reading import chunks, stored
from daybook.store.event_store import NotAnEvent, from_item
from daybook.store.journal import Line, Span

# Read in parallel: the first lines of so many hours, and so many hundreds of events. More would take more memory.
_HOURS_AT_ONCE = 4
_BATCHES_AT_ONCE = 8
_LINES_A_CALL = 1_000
# How many of the events that are missing are named.
_MOST_NAMED = 20


class FileExists(OperatorError):
    """A file of this name is there. Name another, or say that it may be replaced."""


class Incomplete(Unsuccessful):
    """The journal names events that the store has not, or that cannot be read. No history was written."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: how many events, and the SHA-256 of the file's bytes in hexadecimal."""

    events: int
    sha256: str


def line(event: Envelope) -> str:
    """The event as one line of JSON, without its end."""
    fields = {name: getattr(event, name) for name in ("data", "source", "previous", "hash")}
    return json.dumps(
        {**fields, "metadata": asdict(event.metadata)}, ensure_ascii=False, separators=(",", ":"), sort_keys=True
    )


def events(connection: Connection, span: Span) -> Iterator[Envelope]:
    """The events recorded in the span, in the order of recording, read as they are asked for.

    Raises Incomplete, once all that could be read was given, if the journal names what the store cannot give.
    """
    missing: list[str] = []
    _ = connection.journal  # made before several threads want it
    for block in chunks(chunks(_lines(connection, span)), _BATCHES_AT_ONCE):
        for each in chain.from_iterable(connection.each(partial(_bodies, connection), block)):
            if isinstance(each, Envelope):
                yield each
            else:
                missing.append(each)
    if missing:
        named = "; ".join(missing[:_MOST_NAMED]) + ("; …" if len(missing) > _MOST_NAMED else "")
        msg = (
            f"the store cannot give {len(missing)} of the events that the journal names: {named}. No history was "
            "written; see what else is wrong with: daybook audit check"
        )
        raise Incomplete(msg)


def write(history: Iterable[Envelope], target: Path, *, force: bool) -> Exported:
    """Write the events to a new gzip file that its owner alone may read; the same events make the same bytes.

    The file is there once all of it is: whatever ends this before leaves nothing. Raises FileExists, unless `force`
    lets it take the place of what is there; OperatorError where nothing can be written; and what reading the events
    raises.
    """
    if not force:
        _refuse_if_there(target)
    count = 0
    with _beside(target) as (temporary, raw):
        hashing = _Hashing(raw)
        with gzip.GzipFile(filename="", mode="wb", fileobj=hashing, mtime=0) as packed:
            for event in history:
                packed.write(line(event).encode() + b"\n")
                count += 1
        raw.flush()
        os.fsync(raw.fileno())
        if not force:
            _refuse_if_there(target)
        temporary.replace(target)
    return Exported(count, hashing.sha256.hexdigest())


class _Hashing:
    """A file that is only written to, and the hash of what was."""

    def __init__(self, file: BinaryIO) -> None:
        self.sha256 = hashlib.sha256()
        self._file = file

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _refuse_if_there(target: Path) -> None:
    if os.path.lexists(target):
        msg = f"{target} is there already; name another file, or let it be replaced with --force"
        raise FileExists(msg)


@contextmanager
def _beside(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A temporary file in the target's folder, which is gone after the block."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
                yield temporary, file
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        msg = f"{target} cannot be written: {error.strerror or error}; name another file with --to"
        raise OperatorError(msg) from error


def _lines(connection: Connection, span: Span) -> Iterator[Line]:
    """The lines of the journal, the oldest first."""
    for hours in chunks(reversed(list(span.hours())), _HOURS_AT_ONCE):
        buckets = [bucket for hour in hours for bucket in hour]
        opened = connection.each(lambda bucket: _opened(connection, bucket, span), buckets)
        yield from heapq.merge(*opened, key=lambda line: line.order)


def _opened(connection: Connection, bucket: str, span: Span) -> Iterator[Line]:
    """The lines of one partition, of which the first are read already."""
    lines = connection.journal.lines(bucket, span, page_size=_LINES_A_CALL, oldest_first=True)
    try:
        first = next(lines, None)
    except KeyError as error:
        raise NotAnEvent("an item in the journal lacks part of an event") from error
    return chain([first] if first else [], lines)


def _bodies(connection: Connection, lines: Sequence[Line]) -> list[Envelope | str]:
    """The events, in the order of the lines; for one that there is not: what is missing, in words."""
    found = stored(connection, [(each.stream, each.sequence) for each in lines])
    return [_event(each, found.get((each.stream, each.sequence))) for each in lines]


def _event(line_: Line, item: Any) -> Envelope | str:
    place = f"{line_.stream} #{line_.sequence} ({line_.id})"
    if item is None:
        return place
    try:
        return from_item(item)
    except NotAnEvent:
        return f"{place}, which is not an event that this system wrote"

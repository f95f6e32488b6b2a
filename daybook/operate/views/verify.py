"""Compares a view with the store: the view is computed again in memory, and each row is compared with the live one.

New events are processed during the comparison. So a row that differs is read and compared again, with the new events. A
row that keeps changing is listed as busy.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from daybook.consumers.view import ORDER
from daybook.contracts import clock
from daybook.operate.connection import LOCAL
from daybook.operate.moments import CLOCKS_DIFFER, INDEX_LAG
from daybook.operate.tables import PlainTable, Row
from daybook.operate.views.views import Fold, Folding, View
from daybook.store.attributes import unpack
from daybook.store.journal import JournalEntry, Span
from daybook.store.ledger import DISCARDED
from daybook.store.state import KEY

# Seconds before each further round. Before the last one, wait until the journal is complete up to the round before.
_ROUNDS = (0.0, 1.0, 1.0, 1.0)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that differs from the store. `fields` are those that differ, with the actual and the expected value."""

    key: str
    what: Literal["missing", "extra", "differs"]
    fields: Mapping[str, tuple[Any, Any]]


@dataclass(slots=True)
class Verified:
    """The result for `rows` rows and `events` deliveries.

    `busy` are the keys of rows that kept changing; `left_out` counts deliveries that are not in the view, by processing
    status.
    """

    rows: int
    events: int
    differences: list[Difference] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def verify(
    view: View, since: datetime, *, progress: Progress = lambda _: None, pause: Callable[[float], None] = time.sleep
) -> Verified:
    """Compare the live view with the rows that its functions compute from all events that they have handled since then.

    All rows are held in memory. `pause` waits this number of seconds. Raises ProjectionFailed, EventMissing, and
    botocore's errors.
    """
    history = _History(view, since, progress)
    history.read()
    progress("comparing")
    table = PlainTable(view.connection, view.table)
    rows: dict[str, Row] = {row[KEY]: row for row in table.live().scan()}
    keys = history.fold.rows.keys() | rows.keys()
    differing = [key for key in sorted(keys) if _difference(key, history.fold, rows.get(key))]
    before: Mapping[str, Row] = rows
    for number, seconds in enumerate(_ROUNDS):
        if not differing:
            break
        progress(f"{len(differing)} of {len(keys)} rows differ; comparing again")
        last = number == len(_ROUNDS) - 1
        lag = INDEX_LAG.total_seconds() if last and view.connection.stage != LOCAL else 0.0
        pause(seconds + lag)
        # Read the rows before the events: all events in a row are handled, so they are found.
        before, rows = rows, table.live().rows(differing)
        history.read()
        differing = [key for key in differing if _difference(key, history.fold, rows.get(key))]
    settled = [key for key in differing if rows.get(key) == before.get(key)]
    found = [difference for key in settled if (difference := _difference(key, history.fold, rows.get(key)))]
    left_out = Counter((history.fold.left_out or {}).values())
    busy = [key for key in differing if key not in settled]
    return Verified(len(keys), history.fold.events, found, busy, left_out)


class _History:
    """The events that were recorded and handled, folded into rows. Each `read` adds newer events."""

    def __init__(self, view: View, since: datetime, progress: Progress) -> None:
        self.fold = Fold(left_out={})
        self._view = view
        self._folding = Folding(view)
        self._since = since
        self._progress = progress
        self._recent: set[str] = set()

    def read(self) -> None:
        """Add the events that were recorded and handled since the last call."""
        now = datetime.now(UTC)
        # The journal may have lacked the newest events at the last reading.
        recent = now - INDEX_LAG - CLOCKS_DIFFER
        again = clock.timestamp(recent)
        left_out = self.fold.left_out or {}
        waiting = [each for each, state in left_out.items() if state != DISCARDED]
        for delivery in waiting:
            del left_out[delivery]
        list(self._folding.fold(waiting, self.fold))
        span = Span(self._since, now + CLOCKS_DIFFER)
        for hour in self._view.connection.journal.hours(span, oldest_first=True):
            for fold, seen in self._view.connection.each(lambda bucket: self._of(bucket, span, again), hour):
                self.fold.merge(fold)
                self._recent |= seen
            self._progress(f"{self.fold.events} events, up to {hour[0][:13]}h")
        self._since = max(self._since, recent)

    def _of(self, bucket: str, span: Span, again: str) -> tuple[Fold, set[str]]:
        fold, recent = Fold(left_out={}), set[str]()
        list(self._folding.fold(self._view.deliveries(self._new(bucket, span, again, recent)), fold))
        return fold, recent

    def _new(self, bucket: str, span: Span, again: str, recent: set[str]) -> Iterator[JournalEntry]:
        for line in self._view.lines(bucket, span):
            if line.id in self._recent:
                continue
            if line.recorded_at >= again:
                recent.add(line.id)
            yield line


def _difference(key: str, fold: Fold, row: Row | None) -> Difference | None:
    change = fold.rows.get(key)
    should: dict[str, Any] = dict(change.adds) if change else {}
    for name, (value, stamp) in (change.sets if change else {}).items():
        should |= {name: unpack(value), name + ORDER: stamp}
    is_ = {name: value for name, value in (row or {}).items() if name != KEY}
    pairs = {name: (is_.get(name), should.get(name)) for name in sorted(is_.keys() | should.keys())}
    if change is None or row is None:
        return Difference(key, "missing" if change else "extra", pairs) if change or row else None
    differ = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return Difference(key, "differs", differ) if differ else None

"""Making a view anew from the store, beside the one that people read, which it then replaces at once.

1. The pointer in the view's table names a generation that is being built. When every invocation that may have read it
   before has ended, the view's functions write both generations, and note so in the ledger.
2. All that was handled before is folded in from the store: what the ledger says was committed, and not into both.
3. The pointer is moved, and the rows of the generation before are deleted, once nobody reads them any more.

So each event counts exactly once in the new rows, whenever it comes. Whatever fails before the pointer is moved leaves
the view as it is.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from daybook.consumers.generations import Generations, generation_name, row_key
from daybook.consumers.view import RowChange
from daybook.contracts.operations import RebuildAbandoned, RebuildStarted, ViewRebuilt
from daybook.operate import missing_events as gap
from daybook.operate.errors import OperatorError
from daybook.operate.moments import CLOCKS_DIFFER
from daybook.operate.operation import Operation
from daybook.operate.tables import generations
from daybook.operate.views.views import Fold, Folding, View
from daybook.store.journal import Span
from daybook.store.state import KEY
from daybook.store.transaction import MAX_WRITES, Pauses, Refused, write

# Rows that are held in memory at once for one of the journal's partitions.
_MOST_ROWS = 2_000
# Fields of one update: its expressions hold 4 KB (DynamoDB's quota), some 45 characters a field.
_MOST_FIELDS = 60
# For how long functions may be in the way of one transaction.
_PATIENCE = 60.0  # seconds
# Between Lambda's ending of an invocation and the last that is heard of it.
_ON_THE_WAY = 2.0  # seconds
# DynamoDB's quota for one BatchWriteItem.
_MOST_DELETIONS = 25

Tell = Callable[[str], None]


class BeingRebuilt(OperatorError):
    """Somebody makes the view anew at this moment, or was stopped while doing so."""


class NotBeingRebuilt(OperatorError):
    """Nobody makes the view anew, so that there is nothing to abandon."""

    exit_code = 1


class TakenOver(OperatorError):
    """Somebody else has abandoned this rebuild, or begun another. The view is the one from before."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What has become of a rebuild: from how many events, and how many rows of older generations were deleted."""

    generation: int
    events: int
    deleted: int


def rebuild(
    view: View,
    since: datetime,
    *,
    reason: str = "",
    anew: bool = False,
    tell: Tell = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> Rebuilt:
    """Make the view anew from all that was recorded since then, and let it take the place of the one that is live.

    `anew`: also if another rebuild is under way, which is abandoned thereby. `pause` waits so many seconds.
    Raises BeingRebuilt, TakenOver, NotProjected, EventGone, and botocore's errors. Then, and on Ctrl-C, what was begun
    is given up.
    """
    Folding(view).try_out()
    operation = Operation.begin(view.connection)
    there = _begin(view, operation, reason, anew=anew)
    try:
        tell("waiting until all that is being handled has ended …")
        pause(_settling(view))
        events = _fold_all(view, there, since, tell, pause)
        live = _switch(view, operation, there, events)
    except BaseException:
        _give_up(view, operation, there)
        raise
    tell("the new view is live; waiting until nobody reads the one before …")
    pause(_settling(view))
    return Rebuilt(live.live, events, _delete_others(view, live, tell))


def abandon(view: View, *, reason: str = "") -> None:
    """Give up the rebuild that is under way, by whomever. Raises NotBeingRebuilt."""
    there = generations(view.connection, view.table)
    if there.building is None:
        msg = f"nobody makes {view.name} anew"
        raise NotBeingRebuilt(msg)
    _abandon(view, Operation.begin(view.connection), there, reason)


def _number(there: Generations) -> int:
    if there.building is None:
        msg = "no generation is being built"
        raise TakenOver(msg)
    return there.building


def _begin(view: View, operation: Operation, reason: str, *, anew: bool) -> Generations:
    there = generations(view.connection, view.table)
    if there.building is not None and not anew:
        msg = (
            f"{view.name} is being made anew already (operation/{there.operation}), or that was stopped: "
            f"wait for it, or begin again with --anew, or give it up with --abandon"
        )
        raise BeingRebuilt(msg)
    number = there.last + 1
    begun = replace(there, building=number, last=number, version=there.version + 1, operation=operation.id)
    event = RebuildStarted(**operation.about, reason=reason, view=view.name, generation=number)
    try:
        operation.commit(event, {"generation": begun.part(view.table)})
    except Refused as refused:
        msg = f"somebody else has begun to make {view.name} anew a moment ago"
        raise BeingRebuilt(msg) from refused
    return begun


def _settling(view: View) -> float:
    """Seconds until every invocation that is running now must have ended."""
    return view.longest + _ON_THE_WAY


def _fold_all(view: View, there: Generations, since: datetime, tell: Tell, pause: Callable[[float], None]) -> int:
    """Fold in all that was handled before the functions wrote both. What is recorded from now on they write to both."""
    end = datetime.now(UTC) + CLOCKS_DIFFER
    generation = _number(there)
    folding = Folding(view, without=generation_name(view.name, generation, there.operation))
    events, start = 0, since
    while start < end:
        complete = min(gap.complete(view.connection, datetime.now(UTC)), end)
        if complete > start:
            for count in _fold_span(view, folding, generation, Span(start, complete), tell, events):
                events += count
            start = complete
        if start < end:
            tell(f"{events} events; waiting until the journal is complete up to {end:%H:%M:%S} …")
            pause(min((end - start) / timedelta(seconds=1), 10.0))
    return events


def _fold_span(view: View, folding: Folding, generation: int, span: Span, tell: Tell, before: int) -> Iterator[int]:
    def of_bucket(bucket: str) -> int:
        fold = Fold()
        for _ in folding.fold(view.deliveries(view.lines(bucket, span)), fold):
            if len(fold.rows) >= _MOST_ROWS:
                _write(view, generation, fold)
        _write(view, generation, fold)
        return fold.events

    told = before
    for hour in reversed(list(span.hours())):
        counts = view.connection.each(of_bucket, hour)
        told += sum(counts)
        tell(f"{told} events, up to {hour[0][:13]}h …")
        yield sum(counts)


def _write(view: View, generation: int, fold: Fold) -> None:
    """Change the rows of the generation, and let the fold forget them. Live events change them at the same time."""
    waiting = list(fold.rows.values())
    fold.rows.clear()
    while waiting:
        some = [_piece(row) for row in waiting[:MAX_WRITES]]
        rests = [rest for _, rest in some if rest]
        waiting = [*rests, *waiting[MAX_WRITES:]]
        _write_together(view, generation, [piece for piece, _ in some])


def _write_together(view: View, generation: int, rows: Sequence[RowChange]) -> None:
    began = time.monotonic()
    pauses = Pauses(lambda: _PATIENCE - (time.monotonic() - began))
    left: list[RowChange] = list(rows)
    while left:
        try:
            write(view.connection.dynamodb, {row.key: row.part(view.table, generation) for row in left}, pauses)
        except Refused as refused:
            several = [
                row.without_superseded(refused.failed[row.key] or {}) if row.key in refused.failed else row
                for row in left
            ]
            left = [row for row in several if row]
            pauses.pause()
        else:
            return


def _piece(row: RowChange) -> tuple[RowChange, RowChange | None]:
    """As much of a row's change as one update holds, and the rest."""
    if len(row.sets) + len(row.adds) <= _MOST_FIELDS:
        return row, None
    sets, adds = list(row.sets.items()), list(row.adds.items())
    if len(sets) > _MOST_FIELDS:
        first = RowChange(row.table, row.key, dict(sets[:_MOST_FIELDS]))
        return first, RowChange(row.table, row.key, dict(sets[_MOST_FIELDS:]), row.adds)
    room = _MOST_FIELDS - len(sets)
    first = RowChange(row.table, row.key, row.sets, dict(adds[:room]))
    return first, RowChange(row.table, row.key, adds=dict(adds[room:]))


def _switch(view: View, operation: Operation, there: Generations, events: int) -> Generations:
    number = _number(there)
    live = replace(there, live=number, building=None, version=there.version + 1)
    try:
        rebuilt = ViewRebuilt(**operation.about, view=view.name, generation=number, events=events)
        operation.commit(rebuilt, {"generation": live.part(view.table)})
    except Refused as refused:
        msg = f"this rebuild of {view.name} was abandoned meanwhile; the view is the one from before"
        raise TakenOver(msg) from refused
    return live


def _give_up(view: View, operation: Operation, there: Generations) -> None:
    """Take back what was begun, if it is still ours: perhaps the pointer was moved, and only the answer was lost."""
    now = generations(view.connection, view.table)
    if now.building == there.building and now.operation == operation.id:
        _abandon(view, operation, now, "it was stopped, or failed")


def _abandon(view: View, operation: Operation, there: Generations, reason: str) -> None:
    """The rows stay: functions may still write such. The next rebuild deletes them."""
    event = RebuildAbandoned(**operation.about, reason=reason, view=view.name, generation=_number(there))
    left = replace(there, building=None, version=there.version + 1)
    try:
        operation.commit(event, {"generation": left.part(view.table)})
    except Refused as refused:
        msg = f"the rebuild of {view.name} has ended meanwhile"
        raise TakenOver(msg) from refused


def _delete_others(view: View, live: Generations, tell: Tell) -> int:
    """Delete the rows of all generations but the one that is live, as long as no other is being built."""
    deleted = 0
    waiting: list[str] = []
    dynamodb = view.connection.dynamodb
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=view.table, ProjectionExpression="#id", ExpressionAttributeNames={"#id": KEY}, ConsistentRead=True
    )
    for page in pages:
        waiting += [key for item in page["Items"] if _is_old(key := item[KEY]["S"], live)]
        while len(waiting) >= _MOST_DELETIONS:
            _delete(dynamodb, view.table, waiting[:_MOST_DELETIONS])
            deleted += _MOST_DELETIONS
            del waiting[:_MOST_DELETIONS]
            tell(f"the new view is live; {deleted} old rows deleted …")
    _delete(dynamodb, view.table, waiting)
    return deleted + len(waiting)


def _is_old(key: str, live: Generations) -> bool:
    """Whether it is a row of a generation before the one that is live."""
    return any(row_key(number, key) is not None for number in range(live.live))


def _delete(dynamodb: Any, table: str, keys: Sequence[str]) -> None:
    request: dict[str, Any] = {table: [{"DeleteRequest": {"Key": {KEY: {"S": key}}}} for key in keys]} if keys else {}
    while request:
        request = dynamodb.batch_write_item(RequestItems=request).get("UnprocessedItems") or {}

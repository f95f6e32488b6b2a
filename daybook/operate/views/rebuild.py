"""Rebuilding a view from the store, beside the live one, which it then replaces at once.

1. The pointer in the view's table names a generation that is being built. When every invocation that may have read it
   before has ended, the view's functions write both generations, and note so in the ledger.
2. All events that were processed before are folded in from the store: those that the ledger has as committed, and not
   into both.
3. The pointer is moved, and the rows of the generation before are deleted, once nobody reads them any more.

So each event counts exactly once in the new rows, whenever it arrives. A failure before the pointer is moved leaves the
view as it is.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from daybook.consumers.generations import Generations, generation_name, row_key
from daybook.consumers.view import RowChange
from daybook.contracts.operations import RebuildAbandoned, RebuildStarted, ViewRebuilt
from daybook.operate import missing_events
from daybook.operate.errors import OperatorError, Unsuccessful
from daybook.operate.moments import CLOCKS_DIFFER
from daybook.operate.operation import Operation
from daybook.operate.reading import chunks
from daybook.operate.tables import generations
from daybook.operate.views.views import Fold, Folding, View
from daybook.store.journal import Span
from daybook.store.state import KEY
from daybook.store.transaction import MAX_WRITES, Backoff, ConditionsFailed, write

# Rows that are held in memory at once for one of the journal's partitions.
_MOST_ROWS = 2_000
# Fields of one update: its expressions hold 4 KB (DynamoDB's quota), some 45 characters a field.
_MOST_FIELDS = 60
# How long a transaction is sent again that conflicts with functions.
_LONGEST_CONFLICT = 60.0  # seconds
# Between Lambda's ending of an invocation and the last that is heard of it.
_ON_THE_WAY = 2.0  # seconds
# DynamoDB's quota for one BatchWriteItem.
_MOST_DELETIONS = 25

Progress = Callable[[str], None]


class BeingRebuilt(OperatorError):
    """The view is being rebuilt at this moment, or a rebuild was stopped."""


class NotBeingRebuilt(Unsuccessful):
    """The view is not being rebuilt, so that there is nothing to abandon."""


class TakenOver(Unsuccessful):
    """Another operator has abandoned this rebuild, or begun another. The view is the one from before."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild: from how many events, and how many rows of older generations were deleted."""

    generation: int
    events: int
    deleted: int


def rebuild(
    view: View,
    since: datetime,
    *,
    reason: str = "",
    anew: bool = False,
    progress: Progress = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> Rebuilt:
    """Rebuild the view from all events recorded since then, and make it live.

    `anew`: also if another rebuild is under way, which is abandoned thereby. `pause` waits that many seconds.
    Raises BeingRebuilt, TakenOver, NotProjected, EventGone, and botocore's errors. Then, and on Ctrl-C, what was begun
    is given up.
    """
    Folding(view).try_out()
    operation = Operation.begin(view.connection)
    there = _begin(view, operation, reason, anew=anew)
    try:
        progress("waiting until all that is being handled has ended")
        pause(_settling(view))
        events = _fold_all(view, there, since, progress, pause)
        live = _switch(view, operation, there, events)
    except BaseException:
        _give_up(view, operation, there)
        raise
    progress("the new view is live; waiting until nobody reads the one before")
    pause(_settling(view))
    return Rebuilt(live.live, events, _delete_others(view, live, progress))


def abandon(view: View, *, reason: str = "") -> None:
    """Abandon the rebuild that is under way. Raises NotBeingRebuilt."""
    there = generations(view.connection, view.table)
    if there.building is None:
        msg = f"{view.name} is not being rebuilt"
        raise NotBeingRebuilt(msg)
    _abandon(view, Operation.begin(view.connection), there, reason)


def _number(there: Generations) -> int:
    if there.building is None:
        raise TakenOver("no generation is being built")
    return there.building


def _begin(view: View, operation: Operation, reason: str, *, anew: bool) -> Generations:
    there = generations(view.connection, view.table)
    if there.building is not None and not anew:
        msg = (
            f"{view.name} is being rebuilt already (operation/{there.operation}), or that was stopped: "
            f"wait for it, or begin again with --anew, or abandon it with --abandon"
        )
        raise BeingRebuilt(msg)
    number = there.last + 1
    begun = replace(there, building=number, last=number, version=there.version + 1, operation=operation.id)
    event = RebuildStarted(**operation.about, reason=reason, view=view.name, generation=number)
    if not operation.try_to_commit(event, {"generation": begun.part(view.table)}):
        msg = f"another operator has begun to rebuild {view.name} a moment ago"
        raise BeingRebuilt(msg)
    return begun


def _settling(view: View) -> float:
    """Seconds until every invocation that is running now must have ended."""
    return view.longest + _ON_THE_WAY


def _fold_all(
    view: View, there: Generations, since: datetime, progress: Progress, pause: Callable[[float], None]
) -> int:
    """Fold in all events that were processed before the functions wrote both generations."""
    end = datetime.now(UTC) + CLOCKS_DIFFER
    generation = _number(there)
    folding = Folding(view, without=generation_name(view.name, generation, there.operation))
    events, start = 0, since

    def of_bucket(bucket: str, span: Span) -> int:
        fold = Fold()
        for _ in folding.fold(view.deliveries(view.lines(bucket, span)), fold):
            if len(fold.rows) >= _MOST_ROWS:
                _write(view, generation, fold)
        _write(view, generation, fold)
        return fold.events

    while start < end:
        complete = min(missing_events.complete(view.connection, datetime.now(UTC)), end)
        if complete > start:
            span = Span(start, complete)
            for hour in reversed(list(span.hours())):
                events += sum(view.connection.each(partial(of_bucket, span=span), hour))
                progress(f"{events} events, up to {hour[0][:13]}h")
            start = complete
        if start < end:
            progress(f"{events} events; waiting until the journal is complete up to {end:%H:%M:%S}")
            pause(min((end - start) / timedelta(seconds=1), 10.0))
    return events


def _write(view: View, generation: int, fold: Fold) -> None:
    """Change the rows of the generation, and let the fold forget them. Live events change them at the same time."""
    waiting = list(fold.rows.values())
    fold.rows.clear()
    while waiting:
        some = [_piece(row) for row in waiting[:MAX_WRITES]]
        waiting = [*(rest for _, rest in some if rest), *waiting[MAX_WRITES:]]
        _write_together(view, generation, [piece for piece, _ in some])


def _write_together(view: View, generation: int, rows: Sequence[RowChange]) -> None:
    end = time.monotonic() + _LONGEST_CONFLICT
    backoff = Backoff(lambda: end - time.monotonic())
    while rows:
        try:
            write(view.connection.dynamodb, {row.key: row.part(view.table, generation) for row in rows}, backoff)
        except ConditionsFailed as refused:
            several = [
                row.without_superseded(refused.failed[row.key] or {}) if row.key in refused.failed else row
                for row in rows
            ]
            rows = [row for row in several if row]
            backoff.wait()
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
    event = ViewRebuilt(**operation.about, view=view.name, generation=number, events=events)
    if not operation.try_to_commit(event, {"generation": live.part(view.table)}):
        msg = f"this rebuild of {view.name} was abandoned meanwhile; the view is the one from before"
        raise TakenOver(msg)
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
    if not operation.try_to_commit(event, {"generation": left.part(view.table)}):
        msg = f"the rebuild of {view.name} has ended meanwhile"
        raise TakenOver(msg)


def _delete_others(view: View, live: Generations, progress: Progress) -> int:
    """Delete the rows of all generations but the live one, as long as no other is being built."""
    deleted = 0
    dynamodb = view.connection.dynamodb
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=view.table, ProjectionExpression="#id", ExpressionAttributeNames={"#id": KEY}, ConsistentRead=True
    )
    old = (key for page in pages for item in page["Items"] if _is_old(key := item[KEY]["S"], live))
    for keys in chunks(old, _MOST_DELETIONS):
        request: dict[str, Any] = {view.table: [{"DeleteRequest": {"Key": {KEY: {"S": key}}}} for key in keys]}
        while request:
            request = dynamodb.batch_write_item(RequestItems=request).get("UnprocessedItems") or {}
        deleted += len(keys)
        progress(f"the new view is live; {deleted} old rows deleted")
    return deleted


def _is_old(key: str, live: Generations) -> bool:
    """Whether it is a row of a generation before the one that is live."""
    return any(row_key(number, key) is not None for number in range(live.live))

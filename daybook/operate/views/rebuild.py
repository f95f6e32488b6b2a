"""Rebuilds a view from the store, beside the live view, and then replaces the live view at once.

1. The pointer in the view's table names a generation that is being built. When all invocations that may have read the
   pointer before have ended, the view's functions write both generations, and note this in the ledger.
2. Events that were processed before are added from the store: those that are committed, but not in both generations.
3. The pointer is changed to the new generation. The rows of the old one are deleted when nobody reads them any more.

So each event counts exactly once in the new rows. If the rebuild fails before the pointer is changed, the view is not
changed.
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

# Rows that are held in memory for each partition of the journal.
_MAX_ROWS = 2_000
# Fields of one update: its expressions may have 4 KB (DynamoDB's quota), about 45 characters per field.
_MAX_FIELDS = 60
# How long a transaction is retried when it conflicts with functions.
_MAX_CONFLICT_TIME = 60.0  # seconds
# Requests of an invocation may arrive this long after Lambda has ended it.
_MAX_NETWORK_DELAY = 2.0  # seconds
# DynamoDB's quota for one BatchWriteItem.
_MAX_DELETIONS = 25

Progress = Callable[[str], None]


class RebuildInProgress(OperatorError):
    """The view is being rebuilt, or a rebuild was interrupted."""


class NoRebuildInProgress(Unsuccessful):
    """The view is not being rebuilt."""


class RebuildReplaced(Unsuccessful):
    """Another operator has abandoned this rebuild, or started another. The view is unchanged."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild: the number of events, and of deleted rows of older generations."""

    generation: int
    events: int
    deleted: int


def rebuild(
    view: View,
    since: datetime,
    *,
    reason: str = "",
    restart: bool = False,
    progress: Progress = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> Rebuilt:
    """Rebuild the view from all events recorded since then, and make the new generation live.

    `restart` abandons another rebuild that is in progress. `pause` waits this number of seconds. Raises
    RebuildInProgress, RebuildReplaced, ProjectionFailed, EventMissing, and botocore's errors. After an error or Ctrl-C,
    the rebuild is abandoned.
    """
    Folding(view).check_functions()
    operation = Operation.start(view.connection)
    state = _start(view, operation, reason, restart=restart)
    try:
        progress("waiting until current invocations have ended")
        pause(_drain_time(view))
        events = _fold_all(view, state, since, progress, pause)
        live = _switch(view, operation, state, events)
    except BaseException:
        _abandon_if_in_progress(view, operation, state)
        raise
    progress("the new view is live; waiting until nobody reads the old one")
    pause(_drain_time(view))
    return Rebuilt(live.live, events, _delete_others(view, live, progress))


def abandon(view: View, *, reason: str = "") -> None:
    """Abandon the current rebuild. Raises NoRebuildInProgress."""
    state = generations(view.connection, view.table)
    if state.building is None:
        raise NoRebuildInProgress(f"{view.name} is not being rebuilt")
    _abandon(view, Operation.start(view.connection), state, reason)


def _number(state: Generations) -> int:
    if state.building is None:
        raise RebuildReplaced("no generation is being built")
    return state.building


def _start(view: View, operation: Operation, reason: str, *, restart: bool) -> Generations:
    state = generations(view.connection, view.table)
    if state.building is not None and not restart:
        raise RebuildInProgress(
            f"a rebuild of {view.name} is in progress, or was interrupted (operation/{state.operation}): wait for it, "
            f"start again with --restart, or abandon it with --abandon"
        )
    number = state.last + 1
    started = replace(state, building=number, last=number, version=state.version + 1, operation=operation.id)
    event = RebuildStarted(**operation.about, reason=reason, view=view.name, generation=number)
    if not operation.try_to_commit(event, {"generation": started.part(view.table)}):
        raise RebuildInProgress(f"another operator has started to rebuild {view.name}")
    return started


def _drain_time(view: View) -> float:
    """Seconds until all current invocations must have ended."""
    return view.longest + _MAX_NETWORK_DELAY


def _fold_all(
    view: View, state: Generations, since: datetime, progress: Progress, pause: Callable[[float], None]
) -> int:
    """Add all events that were processed before the functions wrote both generations."""
    end = datetime.now(UTC) + CLOCKS_DIFFER
    generation = _number(state)
    folding = Folding(view, without=generation_name(view.name, generation, state.operation))
    events, start = 0, since

    def of_bucket(bucket: str, span: Span) -> int:
        fold = Fold()
        for _ in folding.fold(view.deliveries(view.lines(bucket, span)), fold):
            if len(fold.rows) >= _MAX_ROWS:
                _write(view, generation, fold)
        _write(view, generation, fold)
        return fold.events

    while start < end:
        complete = min(missing_events.complete(view.connection, datetime.now(UTC)), end)
        if complete > start:
            span = Span(start, complete)
            for hour in view.connection.journal.hours(span, oldest_first=True):
                events += sum(view.connection.each(partial(of_bucket, span=span), hour))
                progress(f"{events} events, up to {hour[0][:13]}h")
            start = complete
        if start < end:
            progress(f"{events} events; waiting until the journal is complete up to {end:%H:%M:%S}")
            pause(min((end - start) / timedelta(seconds=1), 10.0))
    return events


def _write(view: View, generation: int, fold: Fold) -> None:
    """Write the rows of the fold to the generation, and clear the fold. Live events may change them concurrently."""
    waiting = list(fold.rows.values())
    fold.rows.clear()
    while waiting:
        some = [_piece(row) for row in waiting[:MAX_WRITES]]
        waiting = [*(rest for _, rest in some if rest), *waiting[MAX_WRITES:]]
        _write_together(view, generation, [piece for piece, _ in some])


def _write_together(view: View, generation: int, rows: Sequence[RowChange]) -> None:
    end = time.monotonic() + _MAX_CONFLICT_TIME
    backoff = Backoff(lambda: end - time.monotonic())
    while rows:
        try:
            write(view.connection.dynamodb, {row.key: row.part(view.table, generation) for row in rows}, backoff)
        except ConditionsFailed as error:
            several = [
                row.without_superseded(error.failed[row.key] or {}) if row.key in error.failed else row for row in rows
            ]
            rows = [row for row in several if row]
            backoff.wait()
        else:
            return


def _piece(row: RowChange) -> tuple[RowChange, RowChange | None]:
    """Split a row's change: a part that fits into one update, and the rest."""
    if len(row.sets) + len(row.adds) <= _MAX_FIELDS:
        return row, None
    sets, adds = list(row.sets.items()), list(row.adds.items())
    if len(sets) > _MAX_FIELDS:
        first = RowChange(row.table, row.key, dict(sets[:_MAX_FIELDS]))
        return first, RowChange(row.table, row.key, dict(sets[_MAX_FIELDS:]), row.adds)
    room = _MAX_FIELDS - len(sets)
    first = RowChange(row.table, row.key, row.sets, dict(adds[:room]))
    return first, RowChange(row.table, row.key, adds=dict(adds[room:]))


def _switch(view: View, operation: Operation, state: Generations, events: int) -> Generations:
    number = _number(state)
    live = replace(state, live=number, building=None, version=state.version + 1)
    event = ViewRebuilt(**operation.about, view=view.name, generation=number, events=events)
    if not operation.try_to_commit(event, {"generation": live.part(view.table)}):
        raise RebuildReplaced(f"this rebuild of {view.name} was abandoned by another operator; the view is unchanged")
    return live


def _abandon_if_in_progress(view: View, operation: Operation, state: Generations) -> None:
    """Abandon the rebuild, if it is still in progress: the pointer may have been changed without an answer."""
    now = generations(view.connection, view.table)
    if now.building == state.building and now.operation == operation.id:
        _abandon(view, operation, now, "it failed, or was interrupted")


def _abandon(view: View, operation: Operation, state: Generations, reason: str) -> None:
    """Reset the pointer. The rows stay, because functions may still write some; the next rebuild deletes them."""
    event = RebuildAbandoned(**operation.about, reason=reason, view=view.name, generation=_number(state))
    left = replace(state, building=None, version=state.version + 1)
    if not operation.try_to_commit(event, {"generation": left.part(view.table)}):
        raise RebuildReplaced(f"the rebuild of {view.name} has already ended")


def _delete_others(view: View, live: Generations, progress: Progress) -> int:
    deleted = 0
    dynamodb = view.connection.dynamodb
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=view.table, ProjectionExpression="#id", ExpressionAttributeNames={"#id": KEY}, ConsistentRead=True
    )
    old = (key for page in pages for item in page["Items"] if _is_old(key := item[KEY]["S"], live))
    for keys in chunks(old, _MAX_DELETIONS):
        request: dict[str, Any] = {view.table: [{"DeleteRequest": {"Key": {KEY: {"S": key}}}} for key in keys]}
        while request:
            request = dynamodb.batch_write_item(RequestItems=request).get("UnprocessedItems") or {}
        deleted += len(keys)
        progress(f"the new view is live; {deleted} old rows deleted")
    return deleted


def _is_old(key: str, live: Generations) -> bool:
    """Whether it is a row of a generation before the live one."""
    return any(row_key(number, key) is not None for number in range(live.live))

"""Fire timers: each minute, record the events of all timers that are due, from the first unfinished minute on.

The slots of a minute are fired in parallel. One transaction appends the event and deletes the timer's row. So a run
that dies at any point, or runs concurrently with another, records no event twice. Timers are never cancelled: the
event's consumer checks whether it still applies.

Only a timer with a valid proof is fired: anybody who can write to the due table could otherwise record any event.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from daybook.consumers import dead_letter
from daybook.consumers.consumer import backbone
from daybook.consumers.failure import kind, log_failure, reason
from daybook.consumers.work import StreamAlreadyOpen, StreamNotOpen
from daybook.contracts import clock
from daybook.contracts.contract import Place
from daybook.contracts.envelope import EventTooLarge
from daybook.contracts.proof import FIRE_TIMERS
from daybook.runtime import aws, observability
from daybook.runtime.keyring import keyring
from daybook.runtime.settings import settings
from daybook.store.attributes import as_json
from daybook.store.event_store import successor
from daybook.store.timers import MARGIN, SHARDS, NotATimer, Timer, Watermark, from_item, minute
from daybook.store.timers import slots as slots_of
from daybook.store.transaction import Backoff, ConditionsFailed, OutOfTime, write

CONSUMER = FIRE_TIMERS

_MINUTE = timedelta(minutes=1)
# The next row, or the watermark, is handled only if this much time is left.
_MIN_REMAINING = 5.0  # seconds

# The part of the transaction that deletes the timer's row.
_ROW = "timer"


class NotProven(ValueError):
    """A row of the due table has no valid proof by the consumer that it names, or its event is not a timer's."""


class TimersNotFired(RuntimeError):
    """Some timers could not be fired. The next run tries them again."""


def handler(_: Mapping[str, Any], context: Any) -> None:
    """Fire all timers that are due. Raises TimersNotFired if some of them failed."""
    run = _Run(context)
    try:
        run.fire_due(clock.moment(clock.now()))
    finally:
        run.counts.flush()
    if run.failed:
        msg = f"{run.failed} timers could not be fired"
        raise TimersNotFired(msg)


class _Run:
    """One run. `failed` counts the timers that could not be fired."""

    def __init__(self, context: Any) -> None:
        self._lock = Lock()  # for `failed`
        self.counts = observability.counts(settings().names.stage, CONSUMER)
        self.failed = 0
        self._late: list[float] = []  # milliseconds, of each timer that was fired
        self._stuck = False
        self._due = backbone().due
        self._log = observability.logger(CONSUMER)
        self._context = context

    def fire_due(self, now: datetime) -> None:
        """Fire the timers of all minutes from the watermark to now, and move the watermark past finished minutes."""
        start = self._start(now)
        if start is None:
            return
        at = finished = start
        with ThreadPoolExecutor(max_workers=SHARDS) as threads:
            try:
                while at <= now:
                    self._fire_all(at, now, threads)
                    at += _MINUTE
                    if at + MARGIN <= now and not self._stuck:
                        finished = at
            except OutOfTime:
                self._log.info("out of time", extra={"minute": clock.timestamp(at)})
        if finished != start:
            self._due.set_watermark(Watermark(finished))

    def _start(self, now: datetime) -> datetime | None:
        """The first minute; None if the time ran out during the search for it.

        Without a watermark (before the first run, or because its row was lost) it is the oldest timer's minute. A timer
        that is scheduled during the search is not older than the margin, because Work.schedule replaces past times.
        """
        mark = self._due.watermark()
        if mark and not mark.after:
            return mark.minute
        mark = self._due.search(mark or Watermark(minute(now - MARGIN)))
        while mark.after and self._remaining() > _MIN_REMAINING:
            mark = self._due.search(mark)
        self._due.set_watermark(mark)
        if mark.after:
            self._log.info("out of time", extra={"minute": "not found yet"})
            return None
        return mark.minute

    def _fire_all(self, at: datetime, now: datetime, threads: ThreadPoolExecutor) -> None:
        """Fire the due timers of one minute: each slot in a thread. Raises OutOfTime when all threads have ended."""
        fired = [threads.submit(self._fire_slot, slot, now, is_old=at + MARGIN <= now) for slot in slots_of(at)]
        wait(fired)
        while self._late:  # here, where no other thread writes to the log: metrics are printed from time to time
            self.counts.count(observability.FIRED)
            self.counts.record(observability.LATENESS, self._late.pop())
        for slot in fired:
            slot.result()  # raises the thread's error

    def _fire_slot(self, slot: str, now: datetime, *, is_old: bool) -> None:
        """Fire the due timers of one slot. `is_old`: the watermark is about to move past it. Raises OutOfTime."""
        self._check_time()
        for item in self._due.due(slot, clock.timestamp(now)):
            self._check_time()
            try:
                self._fire(item)
            except OutOfTime:
                raise
            except Exception as error:  # noqa: BLE001 - any error: the next run tries again, the others are fired
                log_failure(self._log, {}, error)
                with self._lock:
                    self.failed += 1
                if is_old:
                    self._move_to_present(item, now)

    def _move_to_present(self, item: Mapping[str, Any], now: datetime) -> None:
        """Move a row that cannot be fired to the present minute, so that the watermark can move past its old minute.

        Otherwise each run would begin at the old minute, and after a day could not reach the present in time.
        """
        try:
            write(backbone().dynamodb, self._due.move(item, now), Backoff(self._remaining))
        except ConditionsFailed:  # a concurrent run has fired or moved it
            return
        except OutOfTime:
            raise
        except Exception as error:  # noqa: BLE001 - any error: the watermark stays before this minute
            log_failure(self._log, {}, error)
            self._stuck = True

    def _fire(self, item: Mapping[str, Any]) -> None:
        try:
            timer = from_item(item)
        except NotATimer as error:
            self._set_aside(item, error)
            return
        if not keyring().proves_timer(timer, settings().timers):
            self.counts.count(observability.NOT_PROVEN)
            self._set_aside(item, NotProven(f"{timer.draft.type} was not scheduled by {timer.draft.producer}"), timer)
            return
        backoff = Backoff(self._remaining)
        while True:
            try:
                self._record(item, timer, backoff)
            except (StreamNotOpen, StreamAlreadyOpen, EventTooLarge) as error:
                self._set_aside(item, error, timer)
                return
            except ConditionsFailed as conflict:
                if _ROW in conflict.failed:  # a concurrent run has fired it
                    return
                backoff.wait()  # the stream has grown
            else:
                self._fired(timer)
                return

    def _record(self, item: Mapping[str, Any], timer: Timer, backoff: Backoff) -> None:
        draft, store = timer.draft, backbone().store
        head = store.head(draft.stream)
        if head is None and timer.place is Place.CONTINUES:
            msg = f"{draft.type} continues a stream that does not exist"
            raise StreamNotOpen(msg)
        if head and timer.place is Place.OPENS:
            msg = f"{draft.type} opens a stream that is already open"
            raise StreamAlreadyOpen(msg)
        envelope = successor(draft, head, clock.now(), keyring().writer(CONSUMER))
        write(backbone().dynamodb, {_ROW: self._due.deletion(item), "event": store.append(envelope)}, backoff)

    def _fired(self, timer: Timer) -> None:
        draft = timer.draft
        late = (clock.moment(clock.now()) - clock.moment(draft.time)).total_seconds() * 1000
        about = {"event_id": draft.id, "event_type": draft.type, "stream": draft.stream}
        self._log.info("fired", extra=about | {"correlation_id": draft.correlation_id, "late_ms": round(late)})
        self._late.append(late)

    def _set_aside(self, item: Mapping[str, Any], error: Exception, timer: Timer | None = None) -> None:
        """Send the row to the dead-letter queue, and then delete it."""
        dead_letter.send(
            aws.client("sqs"),
            settings().dead_letter_queue_url,
            as_json(item),
            consumer=CONSUMER,
            error=kind(error),
            reason=reason(error),
            event_id=timer.draft.id if timer else None,
            event_type=timer.draft.type if timer else None,
        )
        self._due.remove(item)
        self._log.error("set aside", extra={"error": kind(error), "reason": reason(error)})

    def _check_time(self) -> None:
        if self._remaining() < _MIN_REMAINING:
            msg = "not enough time is left in this run; the next run continues from here"
            raise OutOfTime(msg)

    def _remaining(self) -> float:
        return float(self._context.get_remaining_time_in_millis()) / 1000

"""Record the events whose time has come: each minute, all that is due since the last finished minute.

That the event is appended and that its row goes is one transaction: a sweep that dies anywhere, or runs beside another,
records nothing twice. Nothing is ever cancelled; who handles the event looks whether it still applies.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from aws_lambda_powertools.metrics import Metrics

from daybook.consumers import dead_letter
from daybook.consumers.consumer import backbone
from daybook.consumers.failure import kind, log_failure, reason
from daybook.consumers.work import StreamNotOpen, StreamTaken
from daybook.contracts import clock
from daybook.contracts.contract import Place
from daybook.contracts.envelope import EventTooLarge
from daybook.runtime import aws, observability
from daybook.runtime.settings import settings
from daybook.store.attributes import unpack_item
from daybook.store.event_store import successor
from daybook.store.timers import MARGIN, NotATimer, Timer, Watermark, from_item, minute
from daybook.store.timers import slots as slots_of
from daybook.store.transaction import OutOfTime, Pauses, Refused, write

CONSUMER = "fire-timers"

_MINUTE = timedelta(minutes=1)
# What the watermark, or one row, may take at the least of the time that is left.
_ENOUGH = 5.0  # seconds

# The part of the transaction that deletes the timer's row.
_ROW = "timer"


class NotSwept(RuntimeError):
    """Some timers could not be fired. The next sweep tries them again."""


def handler(_: Mapping[str, Any], context: Any) -> None:
    """Fire all that is due. Raises NotSwept, when some of it failed."""
    sweep = _Sweep(context)
    try:
        sweep.run(clock.moment(clock.now()))
    finally:
        observability.flush(sweep.metrics)
    if sweep.failed:
        msg = f"{sweep.failed} timers could not be fired"
        raise NotSwept(msg)


class _Sweep:
    """One sweep. `failed` is how often it could not fire a row; the next one must try again."""

    def __init__(self, context: Any) -> None:
        self.metrics: Metrics = observability.metrics(settings().names.stage, CONSUMER)
        self.failed = 0
        self._stuck = False
        self._due = backbone().due
        self._log = observability.logger(CONSUMER)
        self._context = context

    def run(self, now: datetime) -> None:
        """Go through the minutes from the watermark up to now, and move the watermark past those that are finished."""
        start = self._start(now)
        if start is None:
            return
        at = finished = start
        try:
            while at <= now:
                self._fire_all(at, now)
                at += _MINUTE
                if at + MARGIN <= now and not self._stuck:
                    finished = at
        except OutOfTime:
            self._log.info("out of time", extra={"minute": clock.timestamp(at)})
        if finished != start:
            self._due.set_watermark(Watermark(finished))

    def _start(self, now: datetime) -> datetime | None:
        """The minute to begin with; None if it is still searched for when time runs out.

        Without a watermark (before the first sweep, or because its row was lost) it is the oldest timer's. None that is
        armed meanwhile is older than the margin, since a timer for the past is armed for its present.
        """
        mark = self._due.watermark()
        if mark and not mark.after:
            return mark.minute
        mark = self._due.search(mark or Watermark(minute(now - MARGIN)))
        while mark.after and self._remaining() > _ENOUGH:
            mark = self._due.search(mark)
        self._due.set_watermark(mark)
        if mark.after:
            self._log.info("out of time", extra={"minute": "searched for"})
            return None
        return mark.minute

    def _fire_all(self, at: datetime, now: datetime) -> None:
        """Fire what is due of one minute. Raises OutOfTime."""
        for slot in slots_of(at):
            self._look_at_the_time()
            for item in self._due.due(slot, clock.timestamp(now)):
                self._look_at_the_time()
                try:
                    self._fire(item)
                except OutOfTime:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever it was, the next sweep tries it and the others go on
                    self._tell_failure(error)
                    self.failed += 1
                    if at + MARGIN <= now:
                        self._bring_along(item, now)

    def _bring_along(self, item: Mapping[str, Any], now: datetime) -> None:
        """Move a row that cannot be fired to the present, so that the watermark need not wait for it.

        Otherwise sweeps would begin there for as long as it fails, and in a day no longer come as far as the present.
        """
        try:
            write(backbone().dynamodb, self._due.move(item, now), Pauses(self._remaining))
        except Refused:  # another sweep has fired or moved it
            return
        except OutOfTime:
            raise
        except Exception as error:  # noqa: BLE001 - then the watermark waits
            self._tell_failure(error)
            self._stuck = True

    def _tell_failure(self, error: Exception) -> None:
        log_failure(self._log, {}, error)

    def _fire(self, item: Mapping[str, Any]) -> None:
        try:
            timer = from_item(item)
        except NotATimer as error:
            self._set_aside(item, error)
            return
        pauses = Pauses(self._remaining)
        while True:
            try:
                self._record(item, timer, pauses)
            except (StreamNotOpen, StreamTaken, EventTooLarge) as error:
                self._set_aside(item, error, timer)
                return
            except Refused as refused:
                if _ROW in refused.failed:  # another sweep has fired it
                    return
                pauses.pause()  # the stream has grown
            else:
                self._fired(timer)
                return

    def _record(self, item: Mapping[str, Any], timer: Timer, pauses: Pauses) -> None:
        draft, store = timer.draft, backbone().store
        head = store.head(draft.stream)
        if head is None and timer.place is Place.CONTINUES:
            msg = f"{draft.type} continues a stream that nothing has opened"
            raise StreamNotOpen(msg)
        if head and timer.place is Place.OPENS:
            msg = f"{draft.type} opens a stream that is open already"
            raise StreamTaken(msg)
        envelope = successor(draft, head, clock.now())
        write(backbone().dynamodb, {_ROW: self._due.disarm(item), "event": store.append(envelope)}, pauses)

    def _fired(self, timer: Timer) -> None:
        draft = timer.draft
        late = (clock.moment(clock.now()) - clock.moment(draft.time)).total_seconds() * 1000
        about = {"event_id": draft.id, "event_type": draft.type, "stream": draft.stream}
        self._log.info("fired", extra=about | {"correlation_id": draft.correlation_id, "late_ms": round(late)})
        observability.count(self.metrics, observability.FIRED)
        observability.late(self.metrics, late)

    def _set_aside(self, item: Mapping[str, Any], error: Exception, timer: Timer | None = None) -> None:
        """Among the dead letters first, and only then out of the table."""
        dead_letter.send(
            aws.client("sqs"),
            settings().dead_letter_queue_url,
            json.dumps(unpack_item(item), default=str),
            consumer=CONSUMER,
            error=kind(error),
            reason=reason(error),
            event_id=timer.draft.id if timer else None,
            event_type=timer.draft.type if timer else None,
        )
        self._due.remove(item)
        self._log.error("set aside", extra={"error": kind(error), "reason": reason(error)})
        observability.count(self.metrics, observability.SET_ASIDE)

    def _look_at_the_time(self) -> None:
        if self._remaining() < _ENOUGH:
            msg = "the next sweep goes on where this one ends"
            raise OutOfTime(msg)

    def _remaining(self) -> float:
        return float(self._context.get_remaining_time_in_millis()) / 1000

"""Sending dead letters to their consumers again: each message goes to its consumer's own queue, and is followed to its
result.

A dead letter stays dead until its consumer has committed it, so that nothing is lost wherever this ends; and a message
that was sent twice is processed once. The operation is recorded, and noted on the row, before the message is sent.

Two functions of the backbone have no queue. What publish has set aside is published again by publish itself, for the
span of time in which it was recorded. What fire-timers has set aside is a timer that is due: its event is recorded
here, in one transaction with the record of the operation.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any

from daybook.consumers.work import LEDGER
from daybook.contracts import clock
from daybook.contracts.contract import Place
from daybook.contracts.envelope import EventTooLarge
from daybook.contracts.operations import MAX_DEAD_LETTERS, DeadLettersRetried
from daybook.contracts.operations import DeadLetter as RecordedDeadLetter
from daybook.operate import moments
from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.decision import decide, named
from daybook.operate.dead_letters.index import DeadLetter, NoBody, body, change, standing
from daybook.operate.dead_letters.results import (
    BEING_TRIED,
    DEAD_AGAIN,
    DECIDED_BEFORE,
    DONE,
    NOT_SENT,
    REFUSED,
    Result,
    results,
)
from daybook.operate.missing_events import complete
from daybook.operate.operation import Operation
from daybook.operate.publish.publish import NotPublished, Publication
from daybook.operate.queues import find_queue, send
from daybook.operate.rate_limit import RateLimit
from daybook.operate.reading import chunks
from daybook.store.attributes import pack_item
from daybook.store.event_store import Head, NotAnEvent, successor
from daybook.store.event_store import from_item as event_in
from daybook.store.journal import Span
from daybook.store.ledger import COMMITTED, OF_THE_DEAD
from daybook.store.timers import NotATimer
from daybook.store.timers import from_item as timer_in
from daybook.store.transaction import ConditionsFailed

PUBLISH, FIRE_TIMERS = "publish", "fire-timers"
# The error of an effect that was attempted, and nobody knows whether it took effect (consumers/effect_records.py).
OUTCOME_UNKNOWN = "OutcomeUnknown"

# How many may be in process at once: a consumer has other events to process, and all of them are held in memory.
MOST_UNDER_WAY = 1_000
# The most that is sent at once where there is a rate limit.
_MOST_TOGETHER = 10

# Seconds between two looks, growing while there is no result.
_FIRST_LOOK, _LONGEST_LOOK = 0.2, 5.0
_NO_TIME = 0.001

# A unit of work stamps its events, and may be kept from committing them for as long as its function lives: a minute at
# the longest (daybook/constructs/stage.py). Clocks differ, and arrivals are given to the second.
_STAMPED_BEFORE = timedelta(minutes=2)
_A_MOMENT = timedelta(microseconds=1)


class Retrying:
    """One operation that sends dead letters again.

    `rate` is how many are sent in a second, all at once unless given. `wait` is for how many seconds the next result
    is waited for, and `most` are in process at once. `pause` waits, by the clock `now`.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        reason: str = "",
        rate: float | None = None,
        wait: float = 60,
        most: int = MOST_UNDER_WAY,
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._reason = reason
        self._rate_limit = RateLimit(rate, pause=pause, now=now)
        self._wait = wait
        self._most = most
        self._pause = pause
        self._now = now
        self._operation = Operation.begin(connection)
        self._url = cache(lambda consumer: find_queue(connection, consumer))
        self._under_way: dict[str, DeadLetter] = {}
        self._moved, self._look_after = now(), _FIRST_LOOK
        self._progress: Callable[[], object] = lambda: None
        self.sent = 0

    @property
    def operation_id(self) -> str:
        """The id of the operation in the record."""
        return self._operation.id

    @property
    def under_way(self) -> int:
        """How many have been sent, and have no result yet."""
        return len(self._under_way)

    def refusal(self, dead_letter: DeadLetter) -> str:
        """Why the dead letter cannot be sent again; empty if it can."""
        if dead_letter.consumer in {PUBLISH, FIRE_TIMERS}:
            return ""
        consumer = self._consumers.get(dead_letter.consumer)
        if dead_letter.error == OUTCOME_UNKNOWN and consumer and consumer.kind == "effect" and not consumer.can_ask:
            return f"whether it took effect is not known; resolve it first: daybook dead resolve {dead_letter.id}"
        if self._url(dead_letter.consumer) is None:
            return f"{dead_letter.consumer} has no queue in this stage; is its service not deployed?"
        return ""

    def run(
        self, dead_letters: Iterable[DeadLetter], *, progress: Callable[[], object] = lambda: None
    ) -> Iterator[Result]:
        """Send the dead letters again, and yield each result as soon as there is one. `progress` is called as they are
        sent, and after each look for results.

        If there is no new result for as long as is waited, no more are sent: those that were about to be have the
        result NOT_SENT, and the others are not even looked at.
        """
        self._progress = progress
        for some in chunks(dead_letters, MAX_DEAD_LETTERS):
            while self.under_way + len(some) > self._most:
                yield from self._look()
                if self.under_way + len(some) > self._most and not self._goes_on():
                    why = f"{self.under_way} are being tried, and none comes to an end"
                    yield from (Result(dead_letter, NOT_SENT, reason=why) for dead_letter in some)
                    yield from self._left()
                    return
            yield from self._try(some)
        while self._under_way:
            yield from self._look()
            if self._under_way and not self._goes_on():
                break
        yield from self._left()

    @cached_property
    def _consumers(self) -> Mapping[str, Consumer]:
        return consumers(self._connection)

    def _try(self, some: Sequence[DeadLetter]) -> Iterator[Result]:
        """Record the retry of one chunk, and send it."""
        found = {dead_letter.id: (dead_letter, entry) for dead_letter, entry in standing(self._connection, some)}
        yield from (Result(dead_letter, DECIDED_BEFORE) for dead_letter in some if dead_letter.id not in found)
        bodies: dict[str, str] = {}
        own: list[DeadLetter] = []
        for dead_letter, entry in found.values():
            if entry.details.get("retried") == self._operation.id:
                continue  # dead again, and so met again
            try:
                why = self.refusal(dead_letter)
                bodies[dead_letter.id] = "" if why else body(self._connection, entry)
            except NoBody as error:
                why = str(error)
            if why:
                yield Result(dead_letter, REFUSED, reason=why)
            elif dead_letter.consumer == PUBLISH:
                yield self._publish(dead_letter, bodies[dead_letter.id])
            elif dead_letter.consumer == FIRE_TIMERS:
                yield self._record(dead_letter, bodies[dead_letter.id])
            else:
                own.append(dead_letter)
        noted = decide(self._connection, self._operation, own, event=self._event, part=self._note)
        by_consumer: dict[str, list[DeadLetter]] = defaultdict(list)
        for dead_letter in noted:
            by_consumer[dead_letter.consumer].append(dead_letter)
        sendable = {dead_letter.id for dead_letter in noted}
        yield from (Result(dead_letter, DECIDED_BEFORE) for dead_letter in own if dead_letter.id not in sendable)
        for consumer, several in by_consumer.items():
            yield from self._send(consumer, several, bodies)

    def _event(self, dead_letters: tuple[RecordedDeadLetter, ...]) -> DeadLettersRetried:
        return DeadLettersRetried(**self._operation.about, reason=self._reason, dead_letters=dead_letters)

    def _note(self, dead_letter: DeadLetter) -> dict[str, Any]:
        return change(self._connection, dead_letter, {"retried": self._operation.id})

    def _send(self, consumer: str, dead_letters: Sequence[DeadLetter], bodies: Mapping[str, str]) -> Iterator[Result]:
        for some in chunks(dead_letters, self._rate_limit.portion(_MOST_TOGETHER)):
            self._rate_limit.wait(len(some))
            messages = [bodies[dead_letter.id] for dead_letter in some]
            errors = send(self._connection, self._url(consumer) or "", messages, pause=self._pause)
            for dead_letter, error in zip(some, errors, strict=True):
                if error:
                    yield Result(dead_letter, NOT_SENT, reason=error)
                else:
                    self._under_way[dead_letter.id] = dead_letter
                    self.sent += 1
            self._has_moved()
            self._progress()

    def _look(self) -> Iterator[Result]:
        """The new results."""
        ended = results(self._connection, self._under_way.values())
        for each in ended:
            del self._under_way[each.dead_letter.id]
        if ended:
            self._has_moved()
        yield from ended
        self._progress()

    def _goes_on(self) -> bool:
        """Wait for a moment before the next look, if there is time for one."""
        left = self._moved + self._wait - self._now()
        if left < _NO_TIME:
            return False
        self._pause(min(self._look_after, left))
        self._look_after = min(self._look_after * 2, _LONGEST_LOOK)
        return True

    def _has_moved(self) -> None:
        self._moved, self._look_after = self._now(), _FIRST_LOOK

    def _left(self) -> Iterator[Result]:
        yield from (Result(dead_letter, BEING_TRIED) for dead_letter in self._under_way.values())
        self._under_way.clear()

    # --- what publish has set aside ---------------------------------------------------------------------------------

    def _publish(self, dead_letter: DeadLetter, text: str) -> Result:
        """Have publish publish what was recorded then. A redelivered event ends at the ledger."""
        span = _recorded(text)
        if span is None:
            return Result(dead_letter, REFUSED, reason="it is neither an event nor a batch of the stream: discard it")
        now = datetime.now(UTC)
        if min(span.until, now) > complete(self._connection, now):
            return Result(
                dead_letter, REFUSED, reason="the journal may lack some of what it is about; repeat it in minutes"
            )
        publication = Publication(self._connection, Span(span.since, min(span.until, now)))
        try:
            list(publication.run())
        except NotPublished as error:
            return Result(dead_letter, REFUSED, error.error, "republish has failed; see its log")
        if publication.set_aside:
            return Result(
                dead_letter, DEAD_AGAIN, dead_letter.error, f"publish has set {publication.set_aside} aside again"
            )
        if not publication.published:
            return Result(dead_letter, REFUSED, reason="the store has nothing that was recorded then")
        settled = decide(self._connection, self._operation, [dead_letter], event=self._event, part=self._settle)
        return Result(dead_letter, DONE if settled else DECIDED_BEFORE)

    # --- what fire-timers has set aside -----------------------------------------------------------------------------

    def _record(self, dead_letter: DeadLetter, text: str) -> Result:
        """Record the timer's event, as fire-timers would have, unless it is recorded; and settle the dead letter."""
        try:
            item = pack_item(json.loads(text))
            timer, key = timer_in(item), {name: item[name] for name in ("slot", "due")}
        except (ValueError, TypeError, KeyError, AttributeError, NotATimer):
            return Result(dead_letter, REFUSED, reason="it cannot be read as a timer: discard it")
        # Its row may still be there, if fire-timers died right after setting it aside; then one of the two is first.
        row_goes = {"Delete": {"TableName": self._connection.names.due, "Key": key}}
        store = self._connection.store
        while True:
            events = list(store.stream(timer.draft.stream))
            parts = {LEDGER: self._settle(dead_letter), "timer": row_goes}
            if all(event.metadata.id != timer.draft.id for event in events):
                head = Head.at(events[-1]) if events else None
                if why := _has_no_place(timer.place, head):
                    return Result(dead_letter, REFUSED, dead_letter.error, why)
                try:
                    parts["event"] = store.append(successor(timer.draft, head, clock.now()))
                except EventTooLarge as error:
                    return Result(dead_letter, REFUSED, dead_letter.error, str(error))
            try:
                self._operation.commit(self._event(named([dead_letter])), parts)
            except ConditionsFailed as refused:
                if LEDGER in refused.failed:
                    return Result(dead_letter, DECIDED_BEFORE)
            else:
                return Result(dead_letter, DONE)

    def _settle(self, dead_letter: DeadLetter) -> dict[str, Any]:
        values = {"state": COMMITTED, "at": clock.now(), "retried": self._operation.id}
        return change(self._connection, dead_letter, values, remove=OF_THE_DEAD)


def _has_no_place(place: Place, head: Head | None) -> str:
    """Why a timer's event cannot be the next of its stream; empty if it can."""
    if head is None and place is Place.CONTINUES:
        return "nothing has opened the stream that it continues"
    return "the stream that it opens is open already" if head and place is Place.OPENS else ""


def _recorded(text: str) -> Span | None:
    """When the events were recorded that publish has set aside, or given up; None if the text does not say it."""
    try:
        content = json.loads(text)
        if batch := content.get("DDBStreamBatchInfo"):
            first, last = (clock.moment(batch[f"approximateArrivalOf{each}Record"]) for each in ("First", "Last"))
            return Span(first - _STAMPED_BEFORE, last + moments.CLOCKS_DIFFER)
        at = clock.moment(event_in(content).metadata.recorded_at)
    except (ValueError, TypeError, KeyError, AttributeError, NotAnEvent):
        return None
    return Span(at, at + _A_MOMENT)

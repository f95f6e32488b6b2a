"""Retries dead letters: sends each message to its consumer's queue again, and waits for the result.

A dead letter stays dead until its consumer has committed it, so nothing is lost if this is interrupted. A message that
is sent twice is processed once. The operation is recorded, and noted on the row, before the message is sent. A dead
letter whose event has another row (LedgerRowNotProven) is completed here when the consumer has committed the event.

Two functions of the backbone have no queue. A dead letter of publish is published again by republish, for the period in
which it was recorded. A dead letter of fire-timers is a timer that is due: its event is recorded here, in one
transaction with the record of the operation.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any

from daybook.application import catalogue
from daybook.consumers.ordered import as_delivered
from daybook.consumers.work import LEDGER
from daybook.contracts import clock
from daybook.contracts.card_search import is_removed
from daybook.contracts.contract import Place
from daybook.contracts.envelope import EventTooLarge
from daybook.contracts.operations import MAX_DEAD_LETTERS, DeadLettersRetried
from daybook.contracts.operations import DeadLetter as RecordedDeadLetter
from daybook.contracts.proof import OPERATIONS
from daybook.operate import moments
from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.decision import decide, recorded
from daybook.operate.dead_letters.index import BodyNotFound, DeadLetter, body, change, end, still_dead
from daybook.operate.dead_letters.results import (
    DEAD_AGAIN,
    DONE,
    IN_PROGRESS,
    NO_LONGER_DEAD,
    NOT_SENT,
    SKIPPED,
    Result,
    deaths,
    results,
)
from daybook.operate.errors import OperatorError
from daybook.operate.missing_events import complete
from daybook.operate.operation import Operation
from daybook.operate.publish.publish import NotPublished, Publication
from daybook.operate.queues import find_queue, send
from daybook.operate.rate_limit import RateLimit
from daybook.operate.reading import Pair, chunks
from daybook.operate.terminal import daybook
from daybook.store.event_store import Head, NotAnEvent, successor
from daybook.store.event_store import from_item as event_in
from daybook.store.journal import Span
from daybook.store.ledger import COMMITTED, DEAD_LETTER_ATTRIBUTES, LedgerEntry
from daybook.store.timers import NotATimer
from daybook.store.timers import from_item as timer_in
from daybook.store.transaction import ConditionsFailed

ADMIT, PUBLISH, FIRE_TIMERS = "admit", "publish", "fire-timers"
# The error of an effect whose outcome is unknown (consumers/effect_records.py).
OUTCOME_UNKNOWN = "OutcomeUnknown"

# How many may be in progress at once: consumers have other events to process, and all of these are held in memory.
MAX_IN_PROGRESS = 1_000
# How many are sent at once with a rate limit.
_MAX_BATCH = 10

# Seconds between two polls, growing while there is no result.
_FIRST_POLL, _MAX_POLL = 0.2, 5.0
_NO_TIME = 0.001

# A unit of work sets the time of its events, and may commit them until its function ends: a minute later at most
# (daybook/constructs/stage.py). Clocks differ, and times of arrival are in whole seconds.
_MAX_COMMIT_DELAY = timedelta(minutes=2)
_A_MOMENT = timedelta(microseconds=1)


class CardNumbersRemoved(OperatorError):
    """Card numbers were removed from the message of a dead letter, and the store has no such event."""


class RetryOperation:
    """One operation that retries dead letters.

    `rate` is the number sent per second; None is no limit. `wait` is how many seconds to wait for the next result, and
    `most` how many may be in progress at once. `pause` waits, by the clock `now`.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        reason: str = "",
        rate: float | None = None,
        wait: float = 60,
        most: int = MAX_IN_PROGRESS,
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
        self._operation = Operation.start(connection)
        self._url = cache(lambda consumer: find_queue(connection, consumer))
        self._in_progress: dict[str, DeadLetter] = {}
        self._died: dict[Pair, str] = {}  # the events that dead letters name
        self._last_result, self._poll_interval = now(), _FIRST_POLL
        self._progress: Callable[[], object] = lambda: None
        self.sent = 0

    @property
    def operation_id(self) -> str:
        """The id of the operation in the record."""
        return self._operation.id

    @property
    def in_progress(self) -> int:
        """How many have been sent and have no result yet."""
        return len(self._in_progress)

    def reason_to_skip(self, dead_letter: DeadLetter) -> str:
        """Why the dead letter cannot be retried; empty if it can."""
        if dead_letter.consumer in {PUBLISH, FIRE_TIMERS}:
            return ""
        consumer = self._consumers.get(dead_letter.consumer)
        if dead_letter.error == OUTCOME_UNKNOWN and consumer and consumer.kind == "effect" and not consumer.can_query:
            resolve = daybook("dead", "resolve", dead_letter.id, stage=self._connection.stage)
            return f"the outcome of its effect is unknown; resolve it first: {resolve}"
        if self._url(dead_letter.consumer) is None:
            return f"{dead_letter.consumer} has no queue in this stage; is its service not deployed?"
        return ""

    def run(
        self, dead_letters: Iterable[DeadLetter], *, progress: Callable[[], object] = lambda: None
    ) -> Iterator[Result]:
        """Send the dead letters, and yield each result when it is available. `progress` is called after each batch that
        is sent, and after each poll for results.

        If there is no new result for `wait` seconds, no more are sent: the current chunk has the result NOT_SENT, and
        the dead letters after it are not read.
        """
        self._progress = progress
        for some in chunks(dead_letters, MAX_DEAD_LETTERS):
            while self.in_progress + len(some) > self._most:
                yield from self._poll()
                if self.in_progress + len(some) > self._most and not self._wait_for_next_poll():
                    why = f"{self.in_progress} are in progress, and none has a result"
                    yield from (Result(dead_letter, NOT_SENT, reason=why) for dead_letter in some)
                    yield from self._unfinished()
                    return
            yield from self._retry_chunk(some)
        while self._in_progress:
            yield from self._poll()
            if self._in_progress and not self._wait_for_next_poll():
                break
        yield from self._unfinished()

    @cached_property
    def _consumers(self) -> Mapping[str, Consumer]:
        return consumers(self._connection)

    def _retry_chunk(self, some: Sequence[DeadLetter]) -> Iterator[Result]:
        """Record the retry of one chunk, and send it."""
        found = {dead_letter.id: (dead_letter, entry) for dead_letter, entry in still_dead(self._connection, some)}
        yield from (Result(dead_letter, NO_LONGER_DEAD) for dead_letter in some if dead_letter.id not in found)
        bodies: dict[str, str] = {}
        own: list[DeadLetter] = []
        for dead_letter, entry in found.values():
            if entry.details.get("retried") == self._operation.id:
                continue  # it died again while the list was read
            try:
                why = self.reason_to_skip(dead_letter)
                bodies[dead_letter.id] = "" if why else self._body(dead_letter, entry)
            except (BodyNotFound, CardNumbersRemoved) as error:
                why = str(error)
            if why:
                yield Result(dead_letter, SKIPPED, reason=why)
            elif dead_letter.consumer == PUBLISH:
                yield self._publish_again(dead_letter, bodies[dead_letter.id])
            elif dead_letter.consumer == FIRE_TIMERS:
                yield self._record_timer(dead_letter, bodies[dead_letter.id])
            else:
                own.append(dead_letter)
        noted = decide(self._connection, self._operation, own, event=self._event, part=self._note)
        by_consumer: dict[str, list[DeadLetter]] = defaultdict(list)
        for dead_letter in noted:
            by_consumer[dead_letter.consumer].append(dead_letter)
        sendable = {dead_letter.id for dead_letter in noted}
        yield from (Result(dead_letter, NO_LONGER_DEAD) for dead_letter in own if dead_letter.id not in sendable)
        for consumer, several in by_consumer.items():
            yield from self._send(consumer, several, bodies)

    def _body(self, dead_letter: DeadLetter, entry: LedgerEntry) -> str:
        """The message to send. If card numbers were removed from it, the event in the store replaces it.

        Raises BodyNotFound, CardNumbersRemoved.
        """
        text = body(self._connection, entry)
        if not is_removed(text) or dead_letter.consumer == PUBLISH:  # publish needs the period only
            return text
        if event := dead_letter.event_in_store(self._connection):
            return as_delivered(event)
        stage = self._connection.stage
        edit = f"edit it ({daybook('dead', 'edit', dead_letter.id, stage=stage)}), or "
        raise CardNumbersRemoved(
            "card numbers were removed from its message, which is not sent again without them: "
            f"{edit if dead_letter.consumer == ADMIT else ''}"
            f"discard it ({daybook('dead', 'discard', dead_letter.id, stage=stage)})"
        )

    def _event(self, dead_letters: tuple[RecordedDeadLetter, ...]) -> DeadLettersRetried:
        return DeadLettersRetried(**self._operation.about, reason=self._reason, dead_letters=dead_letters)

    def _note(self, dead_letter: DeadLetter) -> dict[str, Any]:
        return change(self._connection, dead_letter, {"retried": self._operation.id})

    def _send(self, consumer: str, dead_letters: Sequence[DeadLetter], bodies: Mapping[str, str]) -> Iterator[Result]:
        for some in chunks(dead_letters, self._rate_limit.portion(_MAX_BATCH)):
            self._rate_limit.wait(len(some))
            self._died |= deaths(self._connection, some)
            messages = [bodies[dead_letter.id] for dead_letter in some]
            errors = send(self._connection, self._url(consumer) or "", messages, pause=self._pause)
            for dead_letter, error in zip(some, errors, strict=True):
                if error:
                    yield Result(dead_letter, NOT_SENT, reason=error)
                else:
                    self._in_progress[dead_letter.id] = dead_letter
                    self.sent += 1
            self._reset_wait()
            self._progress()

    def _poll(self) -> Iterator[Result]:
        ended = results(self._connection, self._in_progress.values(), self._died)
        named = [each.dead_letter for each in ended if each.result == DONE and each.dead_letter.named_event]
        for some in chunks(named, MAX_DEAD_LETTERS):
            decide(self._connection, self._operation, some, event=self._event, part=self._complete)
        for each in ended:
            del self._in_progress[each.dead_letter.id]
        if ended:
            self._reset_wait()
        yield from ended
        self._progress()

    def _wait_for_next_poll(self) -> bool:
        """Wait before the next poll. False if the time to wait is over."""
        left = self._last_result + self._wait - self._now()
        if left < _NO_TIME:
            return False
        self._pause(min(self._poll_interval, left))
        self._poll_interval = min(self._poll_interval * 2, _MAX_POLL)
        return True

    def _reset_wait(self) -> None:
        self._last_result, self._poll_interval = self._now(), _FIRST_POLL

    def _unfinished(self) -> Iterator[Result]:
        yield from (Result(dead_letter, IN_PROGRESS) for dead_letter in self._in_progress.values())
        self._in_progress.clear()

    # --- dead letters of publish ------------------------------------------------------------------------------------

    def _publish_again(self, dead_letter: DeadLetter, text: str) -> Result:
        """Have republish publish the period. The ledger drops the duplicates."""
        span = _period_of(text)
        if span is None:
            return Result(
                dead_letter, SKIPPED, reason="its body is neither an event nor a batch of the change stream: discard it"
            )
        now = datetime.now(UTC)
        if min(span.until, now) > complete(self._connection, now):
            return Result(
                dead_letter,
                SKIPPED,
                reason="the journal may be incomplete for its period; retry it in five minutes",
            )
        publication = Publication(self._connection, Span(span.since, min(span.until, now)))
        try:
            list(publication.run())
        except NotPublished as error:
            return Result(dead_letter, SKIPPED, error.error, "republish has failed; see its log")
        if publication.set_aside:
            return Result(
                dead_letter, DEAD_AGAIN, dead_letter.error, f"EventBridge rejected {publication.set_aside} events again"
            )
        if not publication.published:
            return Result(dead_letter, SKIPPED, reason="the store has no event of its period")
        completed = decide(self._connection, self._operation, [dead_letter], event=self._event, part=self._complete)
        return Result(dead_letter, DONE if completed else NO_LONGER_DEAD)

    # --- dead letters of fire-timers --------------------------------------------------------------------------------

    def _record_timer(self, dead_letter: DeadLetter, text: str) -> Result:
        """Record the timer's event as fire-timers would, if it is not recorded, and complete the dead letter."""
        try:
            item = json.loads(text)
            timer, key = timer_in(item), {name: item[name] for name in ("slot", "due")}
        except (ValueError, TypeError, KeyError, AttributeError, NotATimer):
            return Result(dead_letter, SKIPPED, reason="its body is not a timer: discard it")
        if not self._connection.keyring.proves_timer(timer, catalogue().timers):
            why = "it was not scheduled by the consumer that it names: find out who has written it, and discard it"
            return Result(dead_letter, SKIPPED, dead_letter.error, why)
        # If fire-timers was killed after it recorded the dead letter, the timer's row still exists: delete it too.
        delete_row = {"Delete": {"TableName": self._connection.names.due, "Key": key}}
        store, writer = self._connection.store, self._connection.keyring.writer(OPERATIONS)
        while True:
            events = list(store.stream(timer.draft.stream))
            parts = {LEDGER: self._complete(dead_letter), "timer": delete_row}
            if all(event.metadata.id != timer.draft.id for event in events):
                head = Head.at(events[-1]) if events else None
                if why := _why_no_place(timer.place, head):
                    return Result(dead_letter, SKIPPED, dead_letter.error, why)
                try:
                    parts["event"] = store.append(successor(timer.draft, head, clock.now(), writer))
                except EventTooLarge as error:
                    return Result(dead_letter, SKIPPED, dead_letter.error, str(error))
            try:
                self._operation.commit(self._event((recorded(dead_letter),)), parts)
            except ConditionsFailed as error:
                if LEDGER in error.failed:
                    return Result(dead_letter, NO_LONGER_DEAD)
            else:
                return Result(dead_letter, DONE)

    def _complete(self, dead_letter: DeadLetter) -> dict[str, Any]:
        values = {"state": COMMITTED, "at": clock.now(), "retried": self._operation.id}
        return end(self._connection, dead_letter, values, remove=DEAD_LETTER_ATTRIBUTES)


def _why_no_place(place: Place, head: Head | None) -> str:
    """Why a timer's event cannot be appended to its stream; empty if it can."""
    if head is None and place is Place.CONTINUES:
        return "it continues a stream that does not exist yet"
    return "it opens a stream that already exists" if head and place is Place.OPENS else ""


def _period_of(text: str) -> Span | None:
    """The period in which the events of publish's dead letter were recorded; None if the body does not have it."""
    try:
        content = json.loads(text)
        if batch := content.get("DDBStreamBatchInfo"):
            first, last = (clock.moment(batch[f"approximateArrivalOf{each}Record"]) for each in ("First", "Last"))
            return Span(first - _MAX_COMMIT_DELAY, last + moments.CLOCKS_DIFFER)
        at = clock.moment(event_in(content).metadata.recorded_at)
    except (ValueError, TypeError, KeyError, AttributeError, NotAnEvent):
        return None
    return Span(at, at + _A_MOMENT)

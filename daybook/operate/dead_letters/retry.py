"""Trying dead letters once more: each message is sent to its consumer's own queue again, and followed to its end.

A letter stays dead until what its consumer commits takes its place, so that nothing is lost wherever this ends; and
what was sent twice is done once. That a letter is tried again is recorded, and noted on its row, before it is sent.

Two consumers have no queue. What publish has set aside is published again by publish itself, for the span of time in
which it was recorded. What sweep has set aside is an event whose time has come: it is recorded here, in one transaction
with all that tells of it.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from daybook.consumers.work import LEDGER
from daybook.contracts import clock
from daybook.contracts.contract import Place
from daybook.contracts.envelope import EventTooLarge
from daybook.contracts.operations import DeadLettersRetried
from daybook.contracts.operations import Letter as Named
from daybook.operate import moments
from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.decision import chunks, decide, named
from daybook.operate.dead_letters.index import Letter, NoBody, body, change, standing
from daybook.operate.dead_letters.results import (
    BEING_TRIED,
    DEAD_AGAIN,
    DECIDED_BEFORE,
    DONE,
    NOT_SENT,
    REFUSED,
    Fate,
    fates,
)
from daybook.operate.errors import is_not_there
from daybook.operate.missing_events import complete
from daybook.operate.operation import Operation
from daybook.operate.queues import send
from daybook.store.attributes import pack_item
from daybook.store.event_store import Head, NotAnEvent, successor
from daybook.store.event_store import from_item as event_in
from daybook.store.ledger import COMMITTED, OF_THE_DEAD
from daybook.store.timers import NotATimer
from daybook.store.timers import from_item as timer_in
from daybook.store.transaction import Refused

PUBLISH, FIRE_TIMERS = "publish", "fire-timers"
# Of an effect: it was attempted, and nobody knows whether it happened (consumers/effect_records.py).
OUTCOME_UNKNOWN = "OutcomeUnknown"

# How many may be tried at once: a consumer has others to do, and all of them are kept in mind.
MOST_UNDER_WAY = 1_000
# The most that is sent at once where a rate is wished for.
_MOST_TOGETHER = 10

# Seconds between two looks, growing while nothing comes to an end.
_FIRST_LOOK, _LONGEST_LOOK = 0.2, 5.0
_NO_TIME = 0.001

# publish runs for a minute at the longest (daybook/constructs/backbone.py).
_PUBLISH_ANSWERS_WITHIN = 75.0  # seconds
# A unit of work stamps its events, and may be kept from committing them for as long as its function lives: a minute at
# the longest (daybook/constructs/stage.py). Clocks differ, and what arrived is told to the second.
_STAMPED_BEFORE = timedelta(minutes=2)
_A_MOMENT = timedelta(microseconds=1)


class Retrying:
    """One act of trying again.

    `rate` is how many are sent in a second, all at once unless given. `wait` are the seconds that are waited for the
    next of them to come to an end, and `most` are tried at once. `pause` waits, by the clock `now`.
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
        self._rate = rate
        self._wait = wait
        self._most = most
        self._pause = pause
        self._now = now
        self._operation = Operation.begin(connection)
        self._queues: dict[str, str | None] = {}
        self._under_way: dict[str, Letter] = {}
        self._moved = now()
        self._look_after = _FIRST_LOOK
        self._progress: Callable[[], object] = lambda: None
        self.sent = 0

    @property
    def operation_id(self) -> str:
        """Under which id it is recorded."""
        return self._operation.id

    @property
    def under_way(self) -> int:
        """How many have been sent, and have not come to an end."""
        return len(self._under_way)

    def refusal(self, letter: Letter) -> str:
        """Why the letter cannot be tried again; empty if it can."""
        if letter.consumer in {PUBLISH, FIRE_TIMERS}:
            return ""
        consumer = self._consumers.get(letter.consumer)
        if letter.error == OUTCOME_UNKNOWN and consumer and consumer.kind == "effect" and not consumer.can_ask:
            return f"whether it took effect is not known; resolve it first: daybook dead resolve {letter.id}"
        if self._url(letter.consumer) is None:
            return f"{letter.consumer} has no queue in this stage; is its service not deployed?"
        return ""

    def run(self, letters: Iterable[Letter], *, progress: Callable[[], object] = lambda: None) -> Iterator[Fate]:
        """Try the letters again, and tell how each fared, as it comes to an end. `progress` is called as they are sent,
        and after each look at how they fare.

        If none of those that are tried at once comes to an end for as long as is waited, no more are
        sent: those that were about to be are told as NOT_SENT, and others are not even looked at.
        """
        self._progress = progress
        for some in chunks(letters):
            while len(self._under_way) + len(some) > self._most:
                yield from self._look()
                if len(self._under_way) + len(some) > self._most and not self._goes_on():
                    why = f"{len(self._under_way)} are being tried, and none comes to an end"
                    yield from (Fate(letter, NOT_SENT, reason=why) for letter in some)
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

    @cached_property
    def _lambda(self) -> Any:
        """A client that waits for publish. It repeats no call by itself."""
        return self._connection.client("lambda", attempts=1, seconds=_PUBLISH_ANSWERS_WITHIN)

    def _try(self, some: Sequence[Letter]) -> Iterator[Fate]:
        """Note the letters of one chunk as tried again, and send them."""
        found = {letter.id: (letter, entry) for letter, entry in standing(self._connection, some)}
        yield from (Fate(letter, DECIDED_BEFORE) for letter in some if letter.id not in found)
        bodies: dict[str, str] = {}
        own: list[Letter] = []
        for letter, entry in found.values():
            if entry.details.get("retried") == self._operation.id:
                continue  # dead again, and so met again
            if why := self.refusal(letter):
                yield Fate(letter, REFUSED, reason=why)
                continue
            try:
                bodies[letter.id] = body(self._connection, entry)
            except NoBody as error:
                yield Fate(letter, REFUSED, reason=str(error))
                continue
            if letter.consumer == PUBLISH:
                yield self._publish(letter, bodies[letter.id])
            elif letter.consumer == FIRE_TIMERS:
                yield self._record(letter, bodies[letter.id])
            else:
                own.append(letter)
        noted = decide(self._connection, self._operation, own, event=self._event, part=self._note)
        sendable = {letter.id for letter in noted}
        yield from (Fate(letter, DECIDED_BEFORE) for letter in own if letter.id not in sendable)
        by_consumer: dict[str, list[Letter]] = defaultdict(list)
        for letter in noted:
            by_consumer[letter.consumer].append(letter)
        for consumer, several in by_consumer.items():
            yield from self._send(consumer, several, bodies)

    def _event(self, letters: tuple[Named, ...]) -> DeadLettersRetried:
        return DeadLettersRetried(**self._operation.about, reason=self._reason, letters=letters)

    def _note(self, letter: Letter) -> dict[str, Any]:
        return change(self._connection, letter, {"retried": self._operation.id})

    def _send(self, consumer: str, letters: Sequence[Letter], bodies: Mapping[str, str]) -> Iterator[Fate]:
        url = self._url(consumer) or ""
        together = max(1, min(_MOST_TOGETHER, int(self._rate))) if self._rate else len(letters)
        for start in range(0, len(letters), together):
            some = letters[start : start + together]
            errors = send(self._connection, url, [bodies[letter.id] for letter in some], pause=self._pause)
            for letter, error in zip(some, errors, strict=True):
                if error:
                    yield Fate(letter, NOT_SENT, reason=error)
                else:
                    self._under_way[letter.id] = letter
                    self.sent += 1
            self._has_moved()
            self._progress()
            if self._rate:
                self._pause(len(some) / self._rate)

    def _look(self) -> Iterator[Fate]:
        """Tell of those that have come to an end."""
        ended = fates(self._connection, self._under_way.values())
        for fate in ended:
            del self._under_way[fate.letter.id]
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

    def _left(self) -> Iterator[Fate]:
        yield from (Fate(letter, BEING_TRIED) for letter in self._under_way.values())
        self._under_way.clear()

    def _url(self, consumer: str) -> str | None:
        if consumer not in self._queues:
            name = self._connection.names.of(consumer)
            try:
                self._queues[consumer] = str(self._connection.sqs.get_queue_url(QueueName=name)["QueueUrl"])
            except ClientError as error:
                if not is_not_there(error):
                    raise
                self._queues[consumer] = None
        return self._queues[consumer]

    # --- what publish has set aside ---------------------------------------------------------------------------------

    def _publish(self, letter: Letter, text: str) -> Fate:
        """Have publish publish what was recorded then. What reaches a consumer twice ends at the ledger."""
        span = _recorded(text)
        if span is None:
            return Fate(letter, REFUSED, reason="it is neither an event nor a batch of the stream: discard it")
        now = datetime.now(UTC)
        since, until = span[0], min(span[1], now)
        if until > complete(self._connection, now):
            return Fate(letter, REFUSED, reason="the journal may lack some of what it is about; repeat it in minutes")
        following: str | None = clock.timestamp(since)
        published = set_aside = 0
        while following:
            answer = self._invoke({"since": following, "until": clock.timestamp(until)})
            if "errorMessage" in answer:
                return Fate(letter, REFUSED, str(answer.get("errorType", "")), "publish has failed; see its log")
            published, set_aside = published + answer["published"], set_aside + answer["set_aside"]
            following = answer["next"]
        if set_aside:
            return Fate(letter, DEAD_AGAIN, letter.error, f"publish has set {set_aside} aside again")
        if not published:
            return Fate(letter, REFUSED, reason="the store has nothing that was recorded then")
        settled = decide(self._connection, self._operation, [letter], event=self._event, part=self._settle)
        return Fate(letter, DONE if settled else DECIDED_BEFORE)

    def _invoke(self, request: Mapping[str, str]) -> Mapping[str, Any]:
        name = self._connection.names.of(PUBLISH)
        answer = self._lambda.invoke(FunctionName=name, Payload=json.dumps(request))
        told: Mapping[str, Any] = json.loads(answer["Payload"].read())
        return told

    # --- what sweep has set aside -----------------------------------------------------------------------------------

    def _record(self, letter: Letter, text: str) -> Fate:
        """Record the event whose time has come, as sweep would have, if it is not; and take the letter off."""
        try:
            item = pack_item(json.loads(text))
            timer, key = timer_in(item), {name: item[name] for name in ("slot", "due")}
        except (ValueError, TypeError, KeyError, AttributeError, NotATimer):
            return Fate(letter, REFUSED, reason="it cannot be read as a timer: discard it")
        # Its row may still be there, where a sweep died that had just set it aside; then one of the two is first.
        row_goes = {"Delete": {"TableName": self._connection.names.due, "Key": key}}
        store = self._connection.store
        while True:
            last, recorded = None, False
            for envelope in store.stream(timer.draft.stream):
                last, recorded = envelope, recorded or envelope.metadata.id == timer.draft.id
            parts = {LEDGER: self._settle(letter), "timer": row_goes}
            if not recorded:
                head = Head.at(last) if last else None
                if why := _has_no_place(timer.place, head):
                    return Fate(letter, REFUSED, letter.error, why)
                try:
                    parts["event"] = store.append(successor(timer.draft, head, clock.now()))
                except EventTooLarge as error:
                    return Fate(letter, REFUSED, letter.error, str(error))
            try:
                self._operation.commit(self._event(named([letter])), parts)
            except Refused as refused:
                if LEDGER in refused.failed:
                    return Fate(letter, DECIDED_BEFORE)
            else:
                return Fate(letter, DONE)

    def _settle(self, letter: Letter) -> dict[str, Any]:
        values = {"state": COMMITTED, "at": clock.now(), "retried": self._operation.id}
        return change(self._connection, letter, values, remove=OF_THE_DEAD)


def _has_no_place(place: Place, head: Head | None) -> str:
    """Why a timer's event cannot be the next of its stream; empty if it can."""
    if head is None and place is Place.CONTINUES:
        return "nothing has opened the stream that it continues"
    if head and place is Place.OPENS:
        return "the stream that it opens is open already"
    return ""


def _recorded(text: str) -> tuple[datetime, datetime] | None:
    """When that was recorded which publish has set aside, or given up; None if it says nothing of that."""
    try:
        told = json.loads(text)
        if batch := told.get("DDBStreamBatchInfo"):
            first = clock.moment(batch["approximateArrivalOfFirstRecord"])
            last = clock.moment(batch["approximateArrivalOfLastRecord"])
            return first - _STAMPED_BEFORE, last + moments.CLOCKS_DIFFER
        at = clock.moment(event_in(told).metadata.recorded_at)
    except (ValueError, TypeError, KeyError, AttributeError, NotAnEvent):
        return None
    return at, at + _A_MOMENT

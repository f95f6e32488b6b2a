"""Discards dead letters: an operator decides that they will never be processed.

At an ordered consumer, the stream after a dead event is blocked. A wake-up message unblocks it: a message about the
next event of the stream. It does nothing while the stream is blocked. So one is sent with a delay before the
transaction: if the command is killed right after the transaction, the stream is still unblocked.

A dead letter that only names the event is not discarded there: the event would block its stream without a dead letter.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from daybook.consumers.ordered import as_delivered
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.contracts.operations import MAX_DEAD_LETTERS, DeadLettersDiscarded
from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.decision import decide
from daybook.operate.dead_letters.index import DeadLetter, end, still_dead
from daybook.operate.operation import Operation
from daybook.operate.queues import find_queue, send
from daybook.operate.reading import chunks
from daybook.operate.terminal import daybook
from daybook.store.ledger import DISCARDED

# The delay of the wake-up message that is sent before the transaction: longer than the transaction takes.
_WAKE_AFTER = 10  # seconds


@dataclass(frozen=True, slots=True)
class Discarded:
    """The result for one dead letter. `discarded` is False if it was no longer dead, or could not unblock its stream.

    `blocked` is the reason why its stream is still blocked, or empty. `open_effect`: the outcome of its effect is
    unknown.
    """

    dead_letter: DeadLetter
    discarded: bool
    blocked: str = ""
    open_effect: bool = False

    def as_data(self) -> dict[str, object]:
        return {
            "id": self.dead_letter.id,
            "discarded": self.discarded,
            "blocked": self.blocked,
            "open_effect": self.open_effect,
        }


class DiscardOperation:
    """One operation that discards dead letters."""

    def __init__(self, connection: Connection, reason: str, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._connection = connection
        self._reason = reason
        self._pause = pause
        self._operation = Operation.start(connection)
        self._consumers = consumers(connection)

    @property
    def operation_id(self) -> str:
        """The id under which it is recorded."""
        return self._operation.id

    def run(self, dead_letters: Iterable[DeadLetter]) -> Iterator[Discarded]:
        """Discard the dead letters in chunks, and yield the result for each. It can be interrupted and repeated.

        Raises botocore's errors.
        """
        for some in chunks(dead_letters, MAX_DEAD_LETTERS):
            found = [dead_letter for dead_letter, _ in still_dead(self._connection, some)]
            kept = {each.id: why for each in found if (why := self._reason_to_keep(each))}
            dead = [each for each in found if each.id not in kept]
            decided = decide(
                self._connection,
                self._operation,
                dead,
                event=lambda named: DeadLettersDiscarded(
                    **self._operation.about, reason=self._reason, dead_letters=named
                ),
                part=self._part,
                before_attempt=lambda waiting: self._wake(waiting, delay=_WAKE_AFTER),
            )
            blocked = kept | self._wake(decided, delay=0)
            done = {dead_letter.id for dead_letter in decided}
            for dead_letter in some:
                is_done = dead_letter.id in done
                unknown = is_done and dead_letter.error == "OutcomeUnknown"
                yield Discarded(dead_letter, is_done, blocked.get(dead_letter.id, ""), unknown)

    def _reason_to_keep(self, dead_letter: DeadLetter) -> str:
        """Why the dead letter must not be discarded; empty if it can be."""
        consumer = self._consumers.get(dead_letter.consumer)
        if consumer and consumer.ordered and dead_letter.named_event:
            retry = daybook("dead", "retry", dead_letter.id, stage=self._connection.stage)
            return f"restore or delete the row that its reason names, then retry it: {retry}"
        return ""

    def _part(self, dead_letter: DeadLetter) -> dict[str, object]:
        """Remove it from the index of dead letters. Error, reason and body stay, as a record of what was discarded."""
        values = {
            "state": DISCARDED,
            "at": clock.now(),
            "operation": self._operation.id,
            "operator": self._operation.operator,
            "why": self._reason,
        }
        return end(self._connection, dead_letter, values, remove=("dead",))

    def _wake(self, dead_letters: Sequence[DeadLetter], *, delay: int) -> dict[str, str]:
        """Unblock the streams of these dead letters, at ordered consumers. Returns failures by dead letter id."""
        failures: dict[str, str] = {}
        waiting: dict[str, list[tuple[DeadLetter, str]]] = defaultdict(list)
        for dead_letter in dead_letters:
            consumer = self._consumers.get(dead_letter.consumer)
            if consumer and consumer.ordered and dead_letter.stream and (event := self._next(dead_letter, consumer)):
                waiting[dead_letter.consumer].append((dead_letter, as_delivered(event)))
        for name, messages in waiting.items():
            url = find_queue(self._connection, name)
            errors: Sequence[str | None] = [f"{name} has no queue"] * len(messages)
            if url:
                bodies = [body for _, body in messages]
                errors = send(self._connection, url, bodies, delay=delay, pause=self._pause)
            failures |= {
                dead_letter.id: error for (dead_letter, _), error in zip(messages, errors, strict=True) if error
            }
        return failures

    def _next(self, dead_letter: DeadLetter, consumer: Consumer) -> Envelope | None:
        """The next event in the dead letter's stream that the consumer handles."""
        events = self._connection.store.stream(dead_letter.stream, after=dead_letter.sequence)
        return next((event for event in events if event.metadata.type == consumer.event), None)

"""Discarding dead letters: an operator decides that they will not be processed, for good.

At an ordered consumer the stream behind a dead event is blocked. A wake-up message unblocks it: a message about the
next event of the stream. It is harmless while the stream is still blocked, so one is sent before the decision, with a
delay: if the command is killed right after the decision, the stream goes on all the same.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from daybook.consumers.ordered import as_delivered
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.contracts.operations import MAX_DEAD_LETTERS, DeadLettersDiscarded
from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.decision import decide
from daybook.operate.dead_letters.index import DeadLetter, change, standing
from daybook.operate.operation import Operation
from daybook.operate.queues import find_queue, send
from daybook.operate.reading import chunks
from daybook.store.ledger import DISCARDED

# The delay of the wake-up message that is sent before the decision. The decision itself takes a moment.
_WAKE_AFTER = 10  # seconds


@dataclass(frozen=True, slots=True)
class Discarded:
    """What became of a dead letter: it is discarded, or somebody else has decided about it before.

    `blocked` says why the stream behind it is still blocked; `open_effect`, that it is not known whether its effect
    took place.
    """

    dead_letter: DeadLetter
    discarded: bool
    blocked: str = ""
    open_effect: bool = False

    def as_data(self) -> dict[str, object]:
        """The result as JSON can hold it."""
        return {
            "id": self.dead_letter.id,
            "discarded": self.discarded,
            "blocked": self.blocked,
            "open_effect": self.open_effect,
        }


class Discarding:
    """One operation that discards dead letters, with its reason."""

    def __init__(self, connection: Connection, reason: str, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._connection = connection
        self._reason = reason
        self._pause = pause
        self._operation = Operation.begin(connection)
        self._consumers = consumers(connection)

    @property
    def operation_id(self) -> str:
        """Under which id it is recorded."""
        return self._operation.id

    def run(self, dead_letters: Iterable[DeadLetter]) -> Iterator[Discarded]:
        """Discard the dead letters, a chunk at a time, as the answers are asked for. To be killed anywhere does no
        harm.

        Raises botocore's errors.
        """
        for some in chunks(dead_letters, MAX_DEAD_LETTERS):
            dead = [dead_letter for dead_letter, _ in standing(self._connection, some)]
            decided = decide(
                self._connection,
                self._operation,
                dead,
                event=lambda named: DeadLettersDiscarded(
                    **self._operation.about, reason=self._reason, dead_letters=named
                ),
                part=self._part,
                beside=lambda waiting: self._wake(waiting, delay=_WAKE_AFTER),
            )
            blocked = self._wake(decided, delay=0)
            done = {dead_letter.id for dead_letter in decided}
            for dead_letter in some:
                is_done = dead_letter.id in done
                unknown = is_done and dead_letter.error == "OutcomeUnknown"
                yield Discarded(dead_letter, is_done, blocked.get(dead_letter.id, ""), unknown)

    def _part(self, dead_letter: DeadLetter) -> dict[str, object]:
        """It leaves the index of dead letters. Error, reason and body stay, to show later what was discarded."""
        values = {
            "state": DISCARDED,
            "at": clock.now(),
            "operation": self._operation.id,
            "operator": self._operation.operator,
            "why": self._reason,
        }
        return change(self._connection, dead_letter, values, remove=("dead",))

    def _wake(self, dead_letters: Sequence[DeadLetter], *, delay: int) -> Mapping[str, str]:
        """Unblock the streams behind the dead letters, at ordered consumers. Returns why that failed, by their ids."""
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

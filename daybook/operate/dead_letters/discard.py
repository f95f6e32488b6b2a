"""Discarding dead letters: it is decided that they will not be processed, and for good.

Where order matters, the stream behind a discarded event waits for somebody to set it going. A nudge does: a message
about the next event of the stream. It is harmless while the stream is still parked, so one is sent before the decision,
to come some seconds later: whoever is killed right after the decision leaves no stream behind that stands still.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from daybook.consumers.ordered import as_delivered
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.contracts.operations import DeadLettersDiscarded
from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.decision import chunks, decide
from daybook.operate.dead_letters.index import Letter, change, standing
from daybook.operate.errors import is_not_there
from daybook.operate.operation import Operation
from daybook.operate.queues import send
from daybook.store.ledger import DISCARDED

# When the nudge before the decision comes. The decision itself takes a moment.
_NUDGE_AFTER = 10  # seconds


@dataclass(frozen=True, slots=True)
class Discarded:
    """What became of a letter: it is discarded, or somebody else has decided about it before.

    `unmoved` says why the stream behind it could not be set going; `open_attempt`, that it is not known whether what
    it asked for has happened.
    """

    letter: Letter
    discarded: bool
    unmoved: str = ""
    open_attempt: bool = False


class Discarding:
    """One act of discarding, with its reason."""

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

    def run(self, letters: Iterable[Letter]) -> Iterator[Discarded]:
        """Discard the letters, a chunk at a time, as the answers are asked for. To be killed anywhere does no harm.

        Raises botocore's errors.
        """
        for some in chunks(letters):
            dead = [letter for letter, _ in standing(self._connection, some)]
            decided = decide(
                self._connection,
                self._operation,
                dead,
                event=lambda named: DeadLettersDiscarded(**self._operation.about, reason=self._reason, letters=named),
                part=self._part,
                beside=lambda waiting: self._nudge(waiting, delay=_NUDGE_AFTER),
            )
            unmoved = self._nudge(decided, delay=0)
            done = {letter.id for letter in decided}
            for letter in some:
                yield Discarded(
                    letter,
                    letter.id in done,
                    unmoved.get(letter.id, ""),
                    letter.id in done and letter.error == "OutcomeUnknown",
                )

    def _part(self, letter: Letter) -> dict[str, object]:
        """It leaves the index of the dead. Error, reason and body stay, for whoever asks later what was discarded."""
        values = {
            "state": DISCARDED,
            "at": clock.now(),
            "operation": self._operation.id,
            "operator": self._operation.operator,
            "why": self._reason,
        }
        return change(self._connection, letter, values, remove=("dead",))

    def _nudge(self, letters: Sequence[Letter], *, delay: int) -> Mapping[str, str]:
        """Set the streams behind the letters going, where order matters. Returns why that failed, by letters' ids."""
        failures: dict[str, str] = {}
        waiting: dict[str, list[tuple[Letter, str]]] = defaultdict(list)
        for letter in letters:
            consumer = self._consumers.get(letter.consumer)
            if consumer and consumer.ordered and letter.stream and (event := self._next(letter, consumer)):
                waiting[letter.consumer].append((letter, as_delivered(event)))
        for name, nudges in waiting.items():
            errors = self._send(name, [body for _, body in nudges], delay)
            failures |= {letter.id: error for (letter, _), error in zip(nudges, errors, strict=True) if error}
        return failures

    def _next(self, letter: Letter, consumer: Consumer) -> Envelope | None:
        """The next event in the letter's stream that the consumer handles."""
        events = self._connection.store.stream(letter.stream, after=letter.sequence)
        return next((event for event in events if event.metadata.type == consumer.event), None)

    def _send(self, consumer: str, bodies: Sequence[str], delay: int) -> Sequence[str | None]:
        try:
            url = self._connection.sqs.get_queue_url(QueueName=self._connection.names.of(consumer))["QueueUrl"]
            return send(self._connection, url, bodies, delay=delay, pause=self._pause)
        except ClientError as error:
            if not is_not_there(error):
                raise
            return [f"{consumer} has no queue"] * len(bodies)

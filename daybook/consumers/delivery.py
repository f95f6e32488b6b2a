"""How a batch of deliveries is handled: each by itself, and what failed goes back, with a note of the reason.

A message that comes back without such a note is a *suspect*: the process that had it died, of this message or of a
neighbour in its batch. So suspects are handled one in an invocation, after all others, and after a note; the one to
blame is found, and ends among the dead letters.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from functools import partial
from typing import Any, Protocol

from daybook.consumers import dead_letter
from daybook.consumers.effect_records import OutcomeUnknown
from daybook.consumers.failure import NotYet, ProcessDied, Rejected, frames, kind, reason
from daybook.consumers.switch import BreakerOpen
from daybook.contracts import clock
from daybook.contracts.contract import ContractBroken, UnknownVersion
from daybook.contracts.envelope import Metadata, NotAnEnvelope
from daybook.runtime import aws, observability
from daybook.runtime.retry import Retry
from daybook.runtime.settings import settings
from daybook.store.cursor import Overtaken
from daybook.store.ledger import AlreadyDone, Entry, Ledger, Note
from daybook.store.transaction import OutOfTime, Pauses

# What one message may take, at the least, of the time that is left. Below that it is handed back.
ENOUGH = 3.0  # seconds
# How soon what was handed back comes again.
_SOON = 5.0  # seconds
# The longest that SQS hides a message, less the time since it was taken.
_LONGEST_HIDING = 11 * 3_600  # seconds


class Duplicate(Exception):
    """The event was done before. Nothing was changed, and nothing need be."""


class End(Enum):
    """How the handling of an event has ended, this time."""

    COMMITTED = auto()
    DUPLICATE = auto()  # it was done before
    AGAIN = auto()  # its message comes again
    DEAD = auto()
    OVERTAKEN = auto()  # another run is further in the stream; only where order matters


class Handler(Protocol):
    """A consumer, as the runtime needs to know it."""

    @property
    def name(self) -> str: ...

    def metadata(self, body: str) -> tuple[Metadata, str]:
        """What is told of the event, and its data as JSON text. Raises NotAnEnvelope."""

    def handle(self, metadata: Metadata, data: str, pauses: Pauses) -> None:
        """Do all that the event asks for. Raises Duplicate, ContractBroken, UnknownVersion, and the body's errors."""


@dataclass(slots=True)
class Message:
    """One message of the batch, read as far as to know its event. `row` is what the ledger says of that."""

    record: Mapping[str, Any]
    metadata: Metadata
    data: str
    row: Entry | None

    @property
    def id(self) -> str:
        return str(self.record["messageId"])

    @property
    def deliveries(self) -> int:
        return int(self.record["attributes"]["ApproximateReceiveCount"])

    @property
    def sent(self) -> str:
        """When it was put into the queue."""
        milliseconds = int(self.record["attributes"]["SentTimestamp"])
        return clock.timestamp(datetime.fromtimestamp(milliseconds / 1000, UTC))

    @property
    def age(self) -> float:
        """Seconds since it was put into the queue."""
        return (datetime.now(UTC) - clock.moment(self.sent)).total_seconds()

    @property
    def crashes(self) -> int:
        """How often the process was about to handle it alone, and never said how it went."""
        return self._noted("crashes")

    @property
    def tried(self) -> int:
        """How many tries of it have failed."""
        return self._noted("tried")

    @property
    def suspect(self) -> bool:
        """Whether it has come back without a note of the reason."""
        return self.deliveries - 1 > self._noted("deliveries")

    @property
    def about(self) -> dict[str, Any]:
        m = self.metadata
        told: dict[str, Any] = {"message_id": self.id, "try": self.deliveries, "event_id": m.id, "event_type": m.type}
        return told | {"stream": m.stream, "sequence": m.sequence, "correlation_id": m.correlation_id}

    def _noted(self, name: str) -> int:
        if self.row is None or self.row.details.get("message") != self.id:
            return 0
        return int(self.row.details.get(name, 0))


class BatchRun:
    """The handling of one batch. `again` are the messages that must come again, with the seconds until then.

    Zero seconds stand for the queue's own time.
    """

    def __init__(self, consumer: Handler, ledger: Ledger, context: Any) -> None:
        self.again: dict[str, int] = {}
        self._consumer = consumer
        self._ledger = ledger
        self._context = context
        self._retry: Retry = settings().retry
        self._log = observability.logger(consumer.name)
        self._metrics = observability.metrics(settings().names.stage, consumer.name)

    def run(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Handle all messages: those that are above suspicion first, then one suspect; the others go back."""
        messages = [message for record in records if (message := self._read(record))]
        suspects = [message for message in messages if message.suspect]
        for message in messages:
            if not message.suspect:
                self._handle_in_time(message)
        for number, message in enumerate(suspects):
            if number == 0:
                self._handle_suspect(message)
            else:
                self._hand_back(message)
        observability.flush(self._metrics)

    def _read(self, record: Mapping[str, Any]) -> Message | None:
        """The message, if it is one that should be handled."""
        message_id = str(record["messageId"])
        try:
            try:
                metadata, data = self._consumer.metadata(record["body"])
            except NotAnEnvelope as error:
                self._send_to_the_dead(record, error)
                self._log.warning("unreadable", extra={"message_id": message_id, "reason": reason(error)})
                return None
            # Only a redelivery is worth a look: the ledger's condition finds every other duplicate without one.
            redelivered = int(record["attributes"]["ApproximateReceiveCount"]) > 1
            row = self._row(metadata) if redelivered else None
        except Exception as error:  # noqa: BLE001 - whatever it was, this message comes again and the others go on
            self._tell_failure({"message_id": message_id}, error)
            self.again[message_id] = 0
            return None
        message = Message(record, metadata, data, row)
        if row and row.done:
            self._duplicate(message)
            return None
        return message

    def _row(self, metadata: Metadata) -> Entry | None:
        """The row that would hold a note on why the message has come again."""
        return self._ledger.find(metadata.id, self._consumer.name)

    def _handle_in_time(self, message: Message) -> None:
        if self._remaining() < ENOUGH:
            self._hand_back(message)
        else:
            self._handle(message)

    def _handle_suspect(self, message: Message) -> None:
        if self._remaining() < ENOUGH:
            self._hand_back(message)
        elif not self._accused(message):
            self._handle(message)

    def _accused(self, message: Message) -> End | None:
        """Note that the process may die of this message. If it has died of it often enough, or was done: the end."""
        if message.crashes >= self._retry.crashes:
            died = ProcessDied(f"the process died {message.crashes} times while it handled the message alone")
            return self._bury(message, died)
        # This delivery stays without a note: if the process dies, the message comes back under suspicion still.
        return self._noted(message, deliveries=message.deliveries - 1, crashes=message.crashes + 1)

    def _handle(self, message: Message) -> None:
        self._attempt(message, partial(self._consumer.handle, message.metadata, message.data))

    def _attempt(self, message: Message, act: Callable[[Pauses], None]) -> End:
        """Do what the message's event asks for, and see to it if that fails."""
        pauses = Pauses(self._remaining)
        try:
            return self._tried(message, act, pauses)
        finally:
            if pauses.taken:
                observability.count(self._metrics, observability.CONFLICTS, pauses.taken)

    def _tried(self, message: Message, act: Callable[[Pauses], None], pauses: Pauses) -> End:
        try:
            act(pauses)
        except Duplicate:
            end = self._duplicate(message)
        except Overtaken:
            end = End.OVERTAKEN
        except (OutOfTime, BreakerOpen) as error:
            end = self._leave_alone(message, error) if isinstance(error, BreakerOpen) else self._hand_back(message)
        except NotYet as error:
            patience = self._retry.patience if error.patience is None else error.patience
            end = self._wait(message, error, patience=patience)
        except UnknownVersion as error:
            observability.count(self._metrics, observability.NEWER_VERSION)
            end = self._wait(message, error, patience=None)
        except (Rejected, ContractBroken) as error:
            end = self._bury(message, error)
        except OutcomeUnknown as error:
            end = self._unknown(message, error)
        except Exception as error:  # noqa: BLE001 - whatever it was, this message is tried again and the others go on
            end = self._try_again(message, error)
        else:
            end = self._committed(message, pauses.taken)
        return end

    def _try_again(self, message: Message, error: Exception) -> End:
        self._tell_failure(message.about, error)
        if message.tried + 1 >= self._retry.tries:
            return self._bury(message, error)
        return self._noted(message, error) or self._comes_again(message, self._retry.distance(message.tried))

    def _wait(self, message: Message, error: Exception, *, patience: float | None) -> End:
        if patience is not None and message.age > patience:
            return self._bury(message, error)
        if end := self._noted(message):
            return end
        told = {"error": kind(error), "reason": reason(error)}
        self._log.info("waits", extra=message.about | told | ({"frames": frames(error)} if error.__cause__ else {}))
        observability.count(self._metrics, observability.WAITING)
        return self._comes_again(message, self._retry.wait(message.age))

    def _unknown(self, message: Message, error: OutcomeUnknown) -> End:
        if error.final:
            return self._bury(message, error)
        if not error.unanswered:
            return self._try_again(message, error)
        return self._wait(message, error, patience=self._retry.patience if error.patience is None else error.patience)

    def _leave_alone(self, message: Message, error: BreakerOpen) -> End:
        """Hand it back until the world outside may be asked again. Nobody has died: it is no suspect."""
        self._log.info("breaker is open", extra=message.about | {"seconds": round(error.seconds)})
        if end := self._noted(message):
            return end
        # Not all at once: each comes up to half as late again.
        seconds = min(max(error.seconds, _SOON) * random.uniform(1, 1.5), _LONGEST_HIDING)  # noqa: S311 - spreads load
        return self._comes_again(message, math.ceil(seconds))

    def _hand_back(self, message: Message) -> End:
        """Not this time: another invocation takes it, soon."""
        self._log.info("handed back", extra=message.about)
        if not message.suspect and (end := self._noted(message)):
            return end
        return self._comes_again(message, max(1, round(random.uniform(0, _SOON))))  # noqa: S311 - only spreads load

    def _bury(self, message: Message, error: Exception) -> End:
        """Put the message among the dead letters, with the reason; for good, unless somebody decides otherwise."""
        try:
            self._send_to_the_dead(message.record, error, message.metadata)
        except Exception as failure:  # noqa: BLE001 - the message comes again, and then to the same end
            self._tell_failure(message.about, failure)
            self.again[message.id] = 0
            return End.AGAIN
        self._log.warning("dead", extra=message.about | {"error": kind(error), "reason": reason(error)})
        return End.DEAD

    def _send_to_the_dead(self, record: Mapping[str, Any], error: Exception, metadata: Metadata | None = None) -> None:
        dead_letter.send(
            aws.client("sqs"),
            settings().dead_letter_queue_url,
            record["body"],
            consumer=self._consumer.name,
            error=kind(error),
            reason=reason(error),
            event_id=metadata.id if metadata else None,
        )

    def _noted(
        self,
        message: Message,
        error: Exception | None = None,
        *,
        deliveries: int | None = None,
        crashes: int | None = None,
    ) -> End | None:
        """Note in the ledger why the message comes again. If that is not to be done, or not possible: the end."""
        m = message.metadata
        note = Note(
            message=message.id,
            deliveries=message.deliveries if deliveries is None else deliveries,
            at=clock.now(),
            error=kind(error) if error else "",
            reason=reason(error) if error else "",
            tried=message.tried + bool(error),
            crashes=message.crashes if crashes is None else crashes,
        )
        try:
            self._ledger.note(m.id, self._consumer.name, (m.stream, m.sequence), note)
        except AlreadyDone:
            return self._duplicate(message)
        except Exception as failure:  # noqa: BLE001 - without a note it comes again as a suspect; no harm in that
            self._tell_failure(message.about, failure)
            self.again[message.id] = 0
            return End.AGAIN
        return None

    def _comes_again(self, message: Message, seconds: int) -> End:
        self.again[message.id] = seconds
        try:
            aws.client("sqs").change_message_visibility(
                QueueUrl=settings().queue_url,
                ReceiptHandle=message.record["receiptHandle"],
                VisibilityTimeout=seconds,
            )
        except Exception as failure:  # noqa: BLE001 - then it comes after the queue's own time
            self._tell_failure(message.about, failure)
        return End.AGAIN

    def _duplicate(self, message: Message) -> End:
        self._log.info("duplicate", extra=message.about)
        observability.count(self._metrics, observability.DUPLICATES)
        return End.DUPLICATE

    def _committed(self, message: Message, conflicts: int) -> End:
        age = (clock.moment(clock.now()) - clock.moment(message.metadata.recorded_at)).total_seconds() * 1000
        self._log.info("committed", extra=message.about | {"age_ms": round(age), "conflicts": conflicts})
        observability.count(self._metrics, observability.COMMITTED)
        observability.age(self._metrics, age)
        return End.COMMITTED

    def _tell_failure(self, about: Mapping[str, Any], error: Exception) -> None:
        told = {"error": kind(error), "reason": reason(error), "frames": frames(error)}
        self._log.error("failed", extra={**about, **told})
        observability.count(self._metrics, observability.FAILED)

    def _remaining(self) -> float:
        return float(self._context.get_remaining_time_in_millis()) / 1000

"""Recording outcomes of deliveries: notes in the ledger, dead letters, visibility timeouts, logs and metrics.

No other code of a consumer writes these.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from daybook.consumers import dead_letter
from daybook.consumers.delivery import Delivery
from daybook.consumers.failure import NotRecorded, kind, log_failure, reason
from daybook.consumers.outcome import Outcome, Verdict, unsettled
from daybook.contracts import clock
from daybook.contracts.contract import UnknownVersion
from daybook.contracts.envelope import NotAnEnvelope
from daybook.runtime import aws, observability
from daybook.runtime.keyring import keyring
from daybook.runtime.settings import settings
from daybook.store.ledger import AlreadyDone, Ledger, Note
from daybook.store.ledger_proofs import LedgerRowNotProven


class Settlement:
    """Records the outcomes of one batch. `redelivered` has the ids of the messages that are redelivered, with the
    seconds until then; 0 means the queue's visibility timeout.
    """

    def __init__(self, consumer: str, ledger: Ledger) -> None:
        self.redelivered: dict[str, int] = {}
        self._consumer = consumer
        self._ledger = ledger
        self.log = observability.logger(consumer)
        self._counts = observability.counts(settings().names.stage, consumer)

    def settle(self, delivery: Delivery, outcome: Outcome) -> Outcome:
        """Record the outcome of a delivery. Returns the final outcome: the note may show that the event was processed
        meanwhile, and a delivery whose outcome cannot be recorded is redelivered.
        """
        if outcome.counts and outcome.error:
            self.failure(delivery.about, outcome.error)
        match outcome.verdict:
            case Verdict.COMMITTED:
                self._committed(delivery, outcome)
            case Verdict.DUPLICATE:
                self._duplicate(delivery)
            case Verdict.DEAD if outcome.error:
                outcome = self._dead(delivery, outcome, outcome.error)
            case Verdict.RETRY:
                outcome = self._retry(delivery, outcome)
            case Verdict.CURSOR_CHANGED if delivery.has_begun:
                outcome = self._note(delivery) or outcome
        return outcome

    def untrusted(
        self, record: Mapping[str, Any], error: NotAnEnvelope | NotRecorded | LedgerRowNotProven, event: str = ""
    ) -> None:
        """Make a message a dead letter without a recorded event, or about an event whose work is in doubt. It does not
        get the id of the event, which has another row, but names it as `event`, if it is recorded.
        """
        self._send_to_dead_letters(record, error, named_event=event)
        about = {"message_id": record["messageId"], "reason": reason(error)}
        if isinstance(error, NotAnEnvelope):
            self.log.warning("unreadable", extra=about)
        else:
            self.log.critical("forged", extra=about | {"error": kind(error)})
            self._counts.count(observability.FORGED)

    def unsettled(self, about: Mapping[str, Any], error: Exception) -> None:
        """Redeliver a message that could not be handled, after the queue's visibility timeout."""
        self.failure(about, error)
        self.redelivered[about["message_id"]] = 0

    def note_begin(self, delivery: Delivery) -> Outcome | None:
        """Note that the process begins to handle this message. Returns None, or the outcome if that failed.

        The note does not count this delivery. So if the process dies, the redelivered message is suspected again.
        """
        return self._note(delivery, begun=True)

    def failure(self, about: Mapping[str, Any], error: Exception) -> None:
        """Log an error, with the place where it arose."""
        log_failure(self.log, about, error)
        self._counts.count(observability.FAILED)

    def flush(self) -> None:
        """Emit the metrics of the batch."""
        self._counts.flush()

    def _committed(self, delivery: Delivery, outcome: Outcome) -> None:
        age = (clock.moment(clock.now()) - clock.moment(delivery.metadata.recorded_at)).total_seconds() * 1000
        self.log.info("committed", extra=delivery.about | {"age_ms": round(age), "conflicts": outcome.conflicts})
        self._counts.count(observability.COMMITTED)
        self._counts.record(observability.AGE, age)

    def _duplicate(self, delivery: Delivery) -> None:
        self.log.info("duplicate", extra=delivery.about)

    def _dead(self, delivery: Delivery, outcome: Outcome, error: Exception) -> Outcome:
        """Send the message to the dead-letter queue, with the reason."""
        event = delivery.metadata.id
        try:
            if isinstance(error, LedgerRowNotProven):
                self.untrusted(delivery.record, error, event)
                return outcome
            # If another message kills the process after this, this message is redelivered and has not crashed.
            if delivery.has_begun and (final := self._note(delivery)):
                return final
            row = self._ledger.find(event, self._consumer)
            if row and row.done and not keyring().proves_row(row.row):
                # record-dead-letters would believe the row, and drop the dead letter.
                unproven = LedgerRowNotProven(row.row["key"])
                return self._dead(delivery, replace(outcome, error=unproven), unproven)
            self._send_to_dead_letters(delivery.record, error, event_id=event)
        except Exception as not_sent:  # noqa: BLE001 - the message is redelivered, with the same outcome
            self.unsettled(delivery.about, not_sent)
            return unsettled(not_sent)
        self.log.warning("dead", extra=delivery.about | {"error": kind(error), "reason": reason(error)})
        return outcome

    def _retry(self, delivery: Delivery, outcome: Outcome) -> Outcome:
        if not outcome.seconds:
            self.redelivered[delivery.id] = 0
            return outcome
        error = outcome.error
        # A suspected message that is handed back without an attempt stays suspected: no note.
        noted = error or delivery.has_begun or not delivery.is_suspected
        if noted and (final := self._note(delivery, error if outcome.counts else None)):
            return final
        if outcome.log:
            failure = {"error": kind(error), "reason": reason(error)} if error else {}
            self.log.info(outcome.log, extra=delivery.about | failure | {"seconds": outcome.seconds})
        if isinstance(error, UnknownVersion):
            self._counts.count(observability.NEWER_VERSION)
        self.redelivered[delivery.id] = outcome.seconds
        try:
            aws.client("sqs").change_message_visibility(
                QueueUrl=settings().queue_url,
                ReceiptHandle=delivery.record["receiptHandle"],
                VisibilityTimeout=outcome.seconds,
            )
        except Exception as not_changed:  # noqa: BLE001 - it is redelivered after the queue's visibility timeout
            self.failure(delivery.about, not_changed)
        return outcome

    def _note(self, delivery: Delivery, error: Exception | None = None, *, begun: bool = False) -> Outcome | None:
        """Note in the ledger that the attempt begins, or why the message is redelivered. Returns None, or the final
        outcome if that failed.
        """
        m = delivery.metadata
        note = Note(
            message=delivery.id,
            deliveries=delivery.receive_count - begun,
            at=clock.now(),
            error=kind(error) if error else "",
            reason=reason(error) if error else "",
            failed_count=delivery.failed_count + bool(error),
            crashes=delivery.crashes,
            begun=begun,
        )
        try:
            self._ledger.note(m.id, self._consumer, (m.stream, m.sequence), note)
        except AlreadyDone as done:
            row = done.row.row
            outcome = Outcome(verdict=Verdict.DUPLICATE)
            if not keyring().proves_row(row):
                outcome = Outcome(verdict=Verdict.DEAD, error=LedgerRowNotProven(row["key"]))
            return self.settle(delivery, outcome)
        except Exception as not_noted:  # noqa: BLE001 - without a note it is suspected at its redelivery
            if begun:  # the note may have been written, and only the answer lost; but nothing begins now
                with suppress(Exception):
                    self._ledger.note(m.id, self._consumer, (m.stream, m.sequence), replace(note, begun=False))
            self.unsettled(delivery.about, not_noted)
            return unsettled(not_noted)
        delivery.has_begun = begun
        return None

    def _send_to_dead_letters(
        self, record: Mapping[str, Any], error: Exception, *, event_id: str = "", named_event: str = ""
    ) -> None:
        dead_letter.send(
            aws.client("sqs"),
            settings().dead_letter_queue_url,
            record["body"],
            consumer=self._consumer,
            error=kind(error),
            reason=reason(error),
            event_id=event_id,
            named_event=named_event,
        )

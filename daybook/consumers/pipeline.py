"""How a consumer handles a batch of deliveries: each by itself, in these steps.

    receive   read the message; one that holds no event is a dead letter at once
    check     was the event done before? is there time? may the process die of it?
    attempt   the consumer's own step: all that the event asks for, in one transaction
    outcome   what the end of that means (outcome.py)
    settle    write down what becomes of the delivery (settlement.py)

A message that is redelivered without a note of the reason is a *suspect*: the process that had it has died, of this
message or of another in its batch. So suspects are handled one in an invocation, after all others, and after a note;
the one to blame is found, and ends as a dead letter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from daybook.consumers.delivery import Delivery
from daybook.consumers.failure import ProcessDied
from daybook.consumers.outcome import Outcome, Verdict, handed_back, outcome_of
from daybook.consumers.settlement import Settlement
from daybook.contracts.envelope import Metadata, NotAnEnvelope
from daybook.runtime.settings import settings
from daybook.store.ledger import Entry, Ledger
from daybook.store.transaction import Pauses

# What one delivery may take, at the least, of the time that is left. Below that it is handed back.
ENOUGH = 3.0  # seconds


class Handler(Protocol):
    """A consumer, as the pipeline needs to know it."""

    @property
    def name(self) -> str: ...

    def read(self, body: str) -> tuple[Metadata, str]:
        """The event's metadata in the body of a message, and its data as JSON text. Raises NotAnEnvelope."""

    def noted(self, metadata: Metadata) -> Entry | None:
        """The ledger's row that would hold a note on why the message of this event is redelivered."""

    def handle(self, delivery: Delivery, pipeline: "Pipeline") -> None:
        """Handle the delivery, with the steps of the pipeline."""


class Pipeline:
    """The deliveries of one invocation."""

    def __init__(self, consumer: Handler, ledger: Ledger, context: Any) -> None:
        self.settlement = Settlement(consumer.name, ledger)
        self._consumer = consumer
        self._context = context
        self._retry = settings().retry

    def handle_batch(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Handle all messages: first those that are no suspects, then one suspect; the others are handed back.

        The answer names the messages that are redelivered (ReportBatchItemFailures).
        """
        deliveries = [delivery for record in records if (delivery := self._receive(record))]
        suspects = [delivery for delivery in deliveries if delivery.suspect]
        for delivery in [each for each in deliveries if not each.suspect] + suspects[:1]:
            try:
                self._consumer.handle(delivery, self)
            except Exception as error:  # noqa: BLE001 - whatever it was, this message is redelivered and the others go on
                self.settlement.unsettled(delivery.about, error)
        for delivery in suspects[1:]:
            self.settlement.settle(delivery, handed_back())
        self.settlement.flush()
        return {"batchItemFailures": [{"itemIdentifier": message} for message in self.settlement.again]}

    def _receive(self, record: Mapping[str, Any]) -> Delivery | None:
        """The delivery, if it is one that should be handled."""
        try:
            try:
                metadata, data = self._consumer.read(record["body"])
            except NotAnEnvelope as error:
                self.settlement.unreadable(record, error)
                return None
            # Only a redelivery is worth a look: the ledger's condition finds every other duplicate without one.
            redelivered = int(record["attributes"]["ApproximateReceiveCount"]) > 1
            return Delivery(record, metadata, data, self._consumer.noted(metadata) if redelivered else None)
        except Exception as error:  # noqa: BLE001 - whatever it was, this message is redelivered and the others go on
            self.settlement.unsettled({"message_id": str(record["messageId"])}, error)
            return None

    def handle(self, delivery: Delivery, step: Callable[[Pauses], None]) -> None:
        """One delivery, whose attempt is this step."""
        outcome = self.check(delivery)
        if outcome is None and delivery.suspect and self.settlement.accuse(delivery):
            return
        self.settlement.settle(delivery, outcome or self.attempt(delivery, step))

    def check(self, delivery: Delivery) -> Outcome | None:
        """The outcome of what need not, or must not, be attempted; else None."""
        if delivery.row and delivery.row.done:
            return Outcome(verdict=Verdict.DUPLICATE)
        if self.remaining() < ENOUGH:
            return handed_back()
        if delivery.suspect and delivery.crashes >= self._retry.crashes:
            died = f"the process died {delivery.crashes} times while it handled the message alone"
            return Outcome(verdict=Verdict.DEAD, error=ProcessDied(died))
        return None

    def attempt(self, delivery: Delivery, step: Callable[[Pauses], None]) -> Outcome:
        """Do what the event asks for; the outcome is what the end of that means."""
        pauses, error = Pauses(self.remaining), None
        try:
            step(pauses)
        except Exception as raised:  # noqa: BLE001 - whatever it was, it concerns this delivery alone
            error = raised
        outcome = outcome_of(error, failed=delivery.failed, age=delivery.age, retry=self._retry)
        return replace(outcome, conflicts=pauses.taken)

    def remaining(self) -> float:
        """Seconds until Lambda ends the invocation."""
        return float(self._context.get_remaining_time_in_millis()) / 1000

"""How a consumer handles a batch of deliveries: each on its own, in these steps.

    receive   read the pointer in the message; a message without one becomes a dead letter at once
    fetch     read the events of all messages from the store, in one request. No consumer acts on anything else: a
              message about an event that is not recorded becomes a dead letter at once, because it may be forged
    check     was the event processed before? is enough time left? has the message killed its process too often?
    attempt   the consumer's own step: process the event in one transaction
    outcome   decide what the result means (outcome.py)
    settle    record the outcome, and retry or end the delivery (settlement.py)

A message that is redelivered without a note of the reason is a *suspected poison message*. Its process died, because
of this message or another one in its batch; or Lambda was throttled, and handled none of them. Suspected messages are
handled after all others, and before each of them the ledger notes that its attempt begins. If the process dies, only
the message whose attempt has begun and not ended has crashed. After a few crashes it becomes a dead letter.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from daybook.consumers.delivery import Delivery, about
from daybook.consumers.failure import NotRecorded, ProcessDied
from daybook.consumers.outcome import Outcome, Verdict, handed_back, outcome_of
from daybook.consumers.settlement import Settlement
from daybook.contracts.envelope import Envelope, Metadata, NotAnEnvelope, Pointer
from daybook.runtime.keyring import keyring
from daybook.runtime.settings import settings
from daybook.store.event_store import EventStore, NotAnEvent, Position, from_item
from daybook.store.ledger import Ledger, LedgerEntry
from daybook.store.ledger_proofs import LedgerRowNotProven
from daybook.store.transaction import Backoff

# A delivery attempt starts only if this much time is left. Otherwise the message is handed back.
MIN_REMAINING_SECONDS = 3.0


class Handler(Protocol):
    """The part of a consumer that the pipeline needs."""

    @property
    def name(self) -> str: ...

    def read(self, body: str) -> Pointer:
        """The pointer in a message body. Raises NotAnEnvelope."""

    def ledger_row(self, metadata: Metadata) -> LedgerEntry | None:
        """The ledger row that holds the note on why this event's message is redelivered, if there is one."""

    def handle(self, delivery: Delivery, pipeline: "Pipeline") -> None:
        """Handle the delivery with the steps of the pipeline."""


class Pipeline:
    """The deliveries of one invocation."""

    def __init__(self, consumer: Handler, store: EventStore, ledger: Ledger, context: Any) -> None:
        self.settlement = Settlement(consumer.name, ledger)
        self._consumer = consumer
        self._store = store
        self._context = context
        self._retry = settings().retry
        self._time = 0.0  # seconds that remained at the first look

    def handle_batch(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Handle all messages, the suspected ones last: if one of them kills the process, the others are done.

        Returns the messages that SQS must redeliver (ReportBatchItemFailures).
        """
        received = [(record, pointer) for record in records if (pointer := self._receive(record))]
        for delivery in sorted(self._fetch(received), key=lambda each: each.suspicion):
            try:
                self._consumer.handle(delivery, self)
            except LedgerRowNotProven as error:
                self._give_up(delivery.record, error, delivery.metadata.id)
            except Exception as error:  # noqa: BLE001 - any error: this message is redelivered, the others are handled
                self.settlement.unsettled(delivery.about, error)
        self.settlement.flush()
        return {"batchItemFailures": [{"itemIdentifier": message} for message in self.settlement.redelivered]}

    def _receive(self, record: Mapping[str, Any]) -> Pointer | None:
        """The pointer in the message, or None if the message is settled already."""
        try:
            return self._consumer.read(record["body"])
        except NotAnEnvelope as error:
            self._give_up(record, error)
            return None

    def _fetch(self, received: Sequence[tuple[Mapping[str, Any], Pointer]]) -> Iterator[Delivery]:
        """The deliveries of these messages, with their events from the store. The other messages are settled."""
        if not received:
            return
        try:
            # The same position twice is an error for DynamoDB.
            found = self._store.items({(p.stream, p.sequence) for _, p in received}, Backoff(self.remaining))
        except Exception as error:  # noqa: BLE001 - any error: all messages are redelivered
            for record, pointer in received:
                self.settlement.unsettled(about(record, pointer), error)
            return
        for record, pointer in received:
            try:
                yield self._delivery(record, _event(pointer, found))
            except NotRecorded as error:
                self._give_up(record, error)
            except LedgerRowNotProven as error:
                self._give_up(record, error, pointer.id)
            except Exception as error:  # noqa: BLE001 - any error: this message is redelivered, the others are handled
                self.settlement.unsettled(about(record, pointer), error)

    def _delivery(self, record: Mapping[str, Any], event: Envelope) -> Delivery:
        # A first delivery has no note. If it is a duplicate, the ledger's condition detects it without this read.
        redelivered = int(record["attributes"]["ApproximateReceiveCount"]) > 1
        row = self._consumer.ledger_row(event.metadata) if redelivered else None
        return Delivery(record, event.metadata, event.data, row)

    def _give_up(
        self, record: Mapping[str, Any], error: NotAnEnvelope | NotRecorded | LedgerRowNotProven, event: str = ""
    ) -> None:
        """Make a message a dead letter that cannot be handled. `event` is the id of its event, if it is recorded."""
        try:
            self.settlement.untrusted(record, error, event)
        except Exception as not_sent:  # noqa: BLE001 - the message is redelivered, with the same outcome
            self.settlement.unsettled({"message_id": record["messageId"]}, not_sent)

    def handle(self, delivery: Delivery, step: Callable[[Backoff], None]) -> None:
        """Handle one delivery, with `step` as the delivery attempt."""
        outcome = self.check(delivery)
        if outcome is None and delivery.is_suspected and self.settlement.note_begin(delivery):
            return
        self.settlement.settle(delivery, outcome or self.attempt(delivery, step))

    def check(self, delivery: Delivery) -> Outcome | None:
        """The outcome of a delivery that must not be attempted; None for all others."""
        if delivery.row and delivery.row.done:
            if not keyring().proves_row(delivery.row.row):
                return Outcome(verdict=Verdict.DEAD, error=LedgerRowNotProven(delivery.row.row["key"]))
            return Outcome(verdict=Verdict.DUPLICATE)
        # A message that has crashed comes last. With little time left it would be blamed for its time-out again.
        remaining = self.remaining()
        if remaining < (self._time / 2 if delivery.crashes else MIN_REMAINING_SECONDS):
            return handed_back()
        if delivery.is_suspected and delivery.crashes >= self._retry.max_crashes:
            died = f"the process died {delivery.crashes} times while it handled the message"
            return Outcome(verdict=Verdict.DEAD, error=ProcessDied(died))
        return None

    def attempt(self, delivery: Delivery, step: Callable[[Backoff], object]) -> Outcome:
        """Run the delivery attempt, and decide on its outcome."""
        backoff, error = Backoff(self.remaining), None
        try:
            step(backoff)
        except Exception as raised:  # noqa: BLE001 - any error becomes the outcome of this delivery
            error = raised
        outcome = outcome_of(error, failed=delivery.failed_count, age=delivery.age, retry=self._retry)
        return replace(outcome, conflicts=backoff.waits)

    def remaining(self) -> float:
        """Seconds until Lambda ends the invocation."""
        left = float(self._context.get_remaining_time_in_millis()) / 1000
        self._time = max(self._time, left)
        return left


def _event(pointer: Pointer, found: Mapping[Position, Mapping[str, Any]]) -> Envelope:
    """The event that the pointer names, among these items of the store. Raises NotRecorded."""
    try:
        event = from_item(found[pointer.stream, pointer.sequence])
    except (KeyError, NotAnEvent) as error:
        msg = "the store has no event at the position in the message"
        raise NotRecorded(msg) from error
    if event.pointer != pointer:
        msg = "the event at this position in the store is not the event in the message"
        raise NotRecorded(msg)
    return event

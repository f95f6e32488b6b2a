"""Admit events from external producers: append valid events to their streams, and reject all others with a reason.

Store first: every event on the event bus was stored by admit or by a consumer before. Events of one stream in one batch
are appended in one transaction, with consecutive sequences.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daybook.backbone.examination import Candidate, Rejection, examine, too_large
from daybook.backbone.origins import Origins
from daybook.consumers import dead_letter
from daybook.consumers.consumer import backbone
from daybook.consumers.failure import kind, log_failure, reason
from daybook.contracts import clock
from daybook.contracts.catalogue import Catalogue
from daybook.contracts.contract import Place
from daybook.contracts.envelope import Envelope, EventTooLarge
from daybook.contracts.proof import ADMIT, Writer
from daybook.runtime import aws, observability
from daybook.runtime.keyring import keyring
from daybook.runtime.settings import settings
from daybook.store.event_store import Draft, Head, successor
from daybook.store.ledger import COMMITTED, DISCARDED, LedgerEntry
from daybook.store.ledger_proofs import LedgerRowNotProven
from daybook.store.transaction import Backoff, ConditionsFailed, write

CONSUMER = ADMIT

# Why an id cannot be reused.
_ADMITTED = "an event with this id was admitted before, with different content; give each event its own id"
_DISCARDED = (
    "an event with this id was rejected before, and an operator has corrected it or discarded it; if this is another "
    "event, give it its own id"
)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """One message and its event."""

    message: str
    body: str
    candidate: Candidate

    @property
    def opens(self) -> bool:
        return self.candidate.contract.place is Place.OPENS


@dataclass(frozen=True, slots=True)
class _Plan:
    """The arrivals to append, with their positions in the stream, and the arrivals to reject."""

    appends: list[tuple[_Arrival, Envelope]]
    rejections: list[tuple[_Arrival, Rejection]]


class Admit:
    """The Lambda handler that admits events of the types in a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __call__(self, batch: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Handle an SQS batch from the ingress bus. Returns the messages that SQS must redeliver."""
        admission = _Admission(self._catalogue, context)
        streams: dict[str, list[_Arrival]] = {}
        for record in batch["Records"]:
            if arrival := admission.examine(record["messageId"], record["body"]):
                streams.setdefault(arrival.candidate.stream, []).append(arrival)
        for arrivals in streams.values():
            admission.admit_all(arrivals)
        admission.counts.flush()
        return {"batchItemFailures": [{"itemIdentifier": message} for message in admission.failed]}


class _Admission:
    """The admission of one batch. `failed` are the ids of the messages that SQS must redeliver."""

    def __init__(self, catalogue: Catalogue, context: Any) -> None:
        self._catalogue = catalogue
        self._origins = Origins.from_json(settings().origins)
        self.counts = observability.counts(settings().names.stage, CONSUMER)
        self.failed: list[str] = []
        self._settled: set[str] = set()
        self._log = observability.logger(CONSUMER)
        self._context = context

    def examine(self, message: str, body: str) -> _Arrival | None:
        """The event in a message, or None if the message is rejected or must be redelivered."""
        try:
            return _Arrival(message, body, examine(body, self._catalogue, self._origins))
        except Rejection as rejection:
            try:
                self._reject(message, body, rejection)
            except Exception as error:  # noqa: BLE001 - any error: this message is redelivered, the others are handled
                self._fail({"message_id": message}, error)
        return None

    def admit_all(self, arrivals: Sequence[_Arrival]) -> None:
        """Append the events of one stream, except rejected events and duplicates."""
        try:
            self._admit(arrivals)
        except Exception as error:  # noqa: BLE001 - any error: these messages are redelivered, the others are handled
            for arrival in arrivals:
                if arrival.message not in self._settled:
                    self._fail(_about(arrival), error)

    def _admit(self, arrivals: Sequence[_Arrival]) -> None:
        # The event that opens the stream goes first: events that continue it may have overtaken it in the queue.
        waiting, duplicates = _deduplicated(sorted(arrivals, key=lambda arrival: not arrival.opens))
        stream = waiting[0].candidate.stream
        # An opening event needs no read of the stream: the append's condition detects a second opening.
        head_is_read = not waiting[0].opens
        head = backbone().store.head(stream) if head_is_read else None
        backoff = Backoff(lambda: self._context.get_remaining_time_in_millis() / 1000)
        rejected: dict[str, Rejection] = {}
        writer = keyring().writer(CONSUMER)
        while waiting:
            plan = _plan(waiting, head, writer)
            if not plan.appends and not head_is_read:  # rejecting them needs the real head of the stream
                head_is_read, head = True, backbone().store.head(stream)
                continue
            try:
                self._append(plan.appends, writer, backoff)
            except ConditionsFailed as conflict:
                known = [arrival for arrival, _ in plan.appends if _ledger_part(arrival) in conflict.failed]
                for arrival in known:
                    self._settle(arrival)
                waiting = [arrival for arrival in waiting if arrival not in known]
                if not known:  # another process has appended to the stream
                    backoff.wait()
                if waiting:
                    head_is_read, head = True, backbone().store.head(stream)
            else:
                for arrival, rejection in plan.rejections:
                    self._settle(arrival, rejection)
                    rejected[arrival.candidate.id] = rejection
                break
        for arrival in duplicates:
            self._settle(arrival, rejected.get(arrival.candidate.id))

    def _reject(self, message: str, body: str, rejection: Rejection, *, named_event: str = "") -> None:
        """Send the message to the dead-letter queue, with the reason as attributes. `named_event` is the id of its
        event, if the row of the event cannot be trusted.
        """
        dead_letter.send(
            aws.client("sqs"),
            settings().dead_letter_queue_url,
            body,
            consumer=CONSUMER,
            error=rejection.code,
            reason=rejection.reason,
            contract=self._catalogue.get(rejection.event_type),
            event_id=rejection.event_id,
            event_type=rejection.event_type,
            named_event=named_event,
        )
        about = {"message_id": message, "event_id": rejection.event_id, "event_type": rejection.event_type}
        self._log.warning("rejected", extra=about | {"error": rejection.code, "reason": rejection.reason})
        self.counts.count(observability.REJECTED)

    def _fail(self, about: Mapping[str, str], error: Exception) -> None:
        self.failed.append(about["message_id"])
        log_failure(self._log, about, error)
        self.counts.count(observability.FAILED)

    def _append(self, appends: Sequence[tuple[_Arrival, Envelope]], writer: Writer, backoff: Backoff) -> None:
        """Append all of them in one transaction, with their rows in the ledger."""
        if not appends:
            return
        parts = {
            _ledger_part(arrival): backbone().ledger.record(_entry(arrival.candidate, envelope), writer)
            for arrival, envelope in appends
        }
        parts |= {f"event {envelope.metadata.id}": backbone().store.append(envelope) for _, envelope in appends}
        write(backbone().dynamodb, parts, backoff)
        for arrival, envelope in appends:
            self._settled.add(arrival.message)
            m = envelope.metadata
            self._log.info(
                "admitted",
                extra=_about(arrival)
                | {"stream": m.stream, "sequence": m.sequence, "correlation_id": m.correlation_id},
            )
        self.counts.count(observability.ADMITTED, len(appends))

    def _settle(self, arrival: _Arrival, rejection: Rejection | None = None) -> None:
        """Settle an arrival that is not appended: drop a duplicate, reject a reused id, or reject with `rejection`."""
        earlier = backbone().ledger.find(arrival.candidate.id, CONSUMER)
        done = earlier is not None and earlier.done
        if earlier and done and not keyring().proves_row(earlier.row):
            self._reject_unproven(arrival, LedgerRowNotProven(earlier.row["key"]))
            return
        if earlier and done and earlier.details.get("content_hash") != arrival.candidate.content_hash:
            why = _DISCARDED if earlier.state == DISCARDED else _ADMITTED
            # Without the event's id, which belongs to the earlier event.
            rejection = Rejection("IdReused", why, event_type=arrival.candidate.contract.type)
        elif done:
            rejection = None
            self._log.info("duplicate", extra=_about(arrival))
        if rejection:
            self._reject(arrival.message, arrival.body, rejection)
        self._settled.add(arrival.message)

    def _reject_unproven(self, arrival: _Arrival, error: LedgerRowNotProven) -> None:
        """Reject an arrival whose row says that it is done, and is not proven: it may not have been admitted."""
        rejection = Rejection(kind(error), reason(error), event_type=arrival.candidate.contract.type)
        self._reject(arrival.message, arrival.body, rejection, named_event=arrival.candidate.id)
        self._log.critical("forged", extra=_about(arrival) | {"error": kind(error), "reason": reason(error)})
        self.counts.count(observability.FORGED)
        self._settled.add(arrival.message)


def _ledger_part(arrival: _Arrival) -> str:
    """The name of the transaction part with the arrival's row in the ledger."""
    return f"ledger {arrival.candidate.id}"


def _deduplicated(arrivals: Iterable[_Arrival]) -> tuple[list[_Arrival], list[_Arrival]]:
    """The first arrival of each event, and the duplicates: a batch may contain the same event twice."""
    first: dict[str, _Arrival] = {}
    duplicates = [arrival for arrival in arrivals if first.setdefault(arrival.candidate.id, arrival) is not arrival]
    return list(first.values()), duplicates


def _plan(waiting: Sequence[_Arrival], head: Head | None, writer: Writer) -> _Plan:
    """Give each arrival its position in the stream after `head`, or a reason to reject it."""
    plan = _Plan([], [])
    now = clock.now()
    for arrival in waiting:
        place = arrival.candidate.contract.place
        if place is Place.OPENS and head:
            why = "the event opens a stream that is already open; check whether another event has the same id"
            plan.rejections.append((arrival, _rejection(arrival, "StreamAlreadyOpen", why)))
            continue
        if place is Place.CONTINUES and not head:
            why = "the event continues a stream that does not exist; send the event that opens it first"
            plan.rejections.append((arrival, _rejection(arrival, "StreamNotOpen", why)))
            continue
        try:
            envelope = successor(_draft(arrival.candidate), head, now, writer)
        except EventTooLarge:
            plan.rejections.append((arrival, _rejection(arrival, "EventTooLarge", too_large().reason)))
            continue
        plan.appends.append((arrival, envelope))
        head = Head.at(envelope)
    return plan


def _draft(candidate: Candidate) -> Draft:
    # Each event that joins a stream, such as a device's report, begins a correlation of its own.
    own_correlation = candidate.id if candidate.contract.place is Place.JOINS else None
    return Draft(
        id=candidate.id,
        type=candidate.contract.type,
        version=candidate.version,
        stream=candidate.stream,
        time=candidate.time,
        data=candidate.data,
        producer=candidate.source,
        source=candidate.contract.published_source,
        correlation_id=candidate.correlation_id or own_correlation,
        causation_id=candidate.causation_id,
    )


def _entry(candidate: Candidate, envelope: Envelope) -> LedgerEntry:
    return LedgerEntry(
        event=candidate.id,
        consumer=CONSUMER,
        state=COMMITTED,
        at=envelope.metadata.recorded_at,
        stream=candidate.stream,
        sequence=envelope.metadata.sequence,
        details={"content_hash": candidate.content_hash, "producer_id": candidate.producer_id},
    )


def _rejection(arrival: _Arrival, code: str, why: str) -> Rejection:
    candidate = arrival.candidate
    return Rejection(code, why, event_id=candidate.id, event_type=candidate.contract.type)


def _about(arrival: _Arrival) -> dict[str, str]:
    candidate = arrival.candidate
    return {"message_id": arrival.message, "event_id": candidate.id, "event_type": candidate.contract.type}

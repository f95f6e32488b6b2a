"""Admit events from outside: what keeps its contract is appended to its stream, all else is refused with a reason.

Store first: nothing is on the event bus that did not pass here, or was emitted by a function. Events of one stream that
come in one batch are one transaction with consecutive sequences.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import Metrics

from daybook.backbone.examination import Candidate, Refusal, examine, too_large
from daybook.consumers import dead_letter
from daybook.consumers.consumer import backbone
from daybook.consumers.failure import log_failure
from daybook.contracts import clock
from daybook.contracts.catalogue import Catalogue
from daybook.contracts.contract import Place
from daybook.contracts.envelope import Envelope, EventTooLarge
from daybook.runtime import aws, observability
from daybook.runtime.settings import settings
from daybook.store.event_store import Draft, Head, successor
from daybook.store.ledger import COMMITTED, DISCARDED, Entry
from daybook.store.transaction import Pauses, Refused, write

CONSUMER = "admit"

# Why an id cannot be used again.
_ADMITTED = "an event with this id was admitted before, with other content; give each event an id of its own"
_DISCARDED = (
    "an event with this id was refused before, and somebody has decided what becomes of it: it was mended and admitted "
    "under another id, or given up; if this is another event, give it an id of its own"
)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """One message, and the event that was found in it."""

    message: str
    body: str
    candidate: Candidate

    @property
    def opens(self) -> bool:
        return self.candidate.contract.place is Place.OPENS


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where arrivals would stand in their stream, and which of them have no place in it."""

    fitting: list[tuple[_Arrival, Envelope]]
    misfits: list[tuple[_Arrival, Refusal]]


class Admit:
    """The handler that admits events of the types in a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __call__(self, batch: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Take an SQS batch from the ingress bus, and name the messages that must come again."""
        admission = _Admission(self._catalogue, context)
        streams: dict[str, list[_Arrival]] = {}
        for record in batch["Records"]:
            if arrival := admission.examine(record["messageId"], record["body"]):
                streams.setdefault(arrival.candidate.stream, []).append(arrival)
        for arrivals in streams.values():
            admission.admit_all(arrivals)
        observability.flush(admission.metrics)
        return {"batchItemFailures": [{"itemIdentifier": message} for message in admission.failed]}


class _Admission:
    """The admission of one batch. `failed` are the messages that must come again."""

    def __init__(self, catalogue: Catalogue, context: Any) -> None:
        self._catalogue = catalogue
        self.metrics: Metrics = observability.metrics(settings().names.stage, CONSUMER)
        self.failed: list[str] = []
        self._settled: set[str] = set()
        self._log = observability.logger(CONSUMER)
        self._context = context

    def examine(self, message: str, body: str) -> _Arrival | None:
        """The event in a message; none if it is refused, or must come again."""
        try:
            return _Arrival(message, body, examine(body, self._catalogue))
        except Refusal as refusal:
            try:
                self._refuse(message, body, refusal)
            except Exception as error:  # noqa: BLE001 - whatever it was, this message comes again and the others go on
                self._fail({"message_id": message}, error)
        return None

    def admit_all(self, arrivals: Sequence[_Arrival]) -> None:
        """Append the events of one stream, but for those that are refused or were admitted before."""
        try:
            self._admit(arrivals)
        except Exception as error:  # noqa: BLE001 - whatever it was, these messages come again and the others go on
            for arrival in arrivals:
                if arrival.message not in self._settled:
                    self._fail(_about(arrival), error)

    def _admit(self, arrivals: Sequence[_Arrival]) -> None:
        # One that opens the stream goes before those that continue it, which may have overtaken it in the queue.
        waiting, repetitions = _each_once(sorted(arrivals, key=lambda arrival: not arrival.opens))
        stream = waiting[0].candidate.stream
        # An opening needs no look at the stream: the append's condition finds a second one.
        looked = not waiting[0].opens
        head = backbone().store.head(stream) if looked else None
        pauses = Pauses(lambda: self._context.get_remaining_time_in_millis() / 1000)
        refused: dict[str, Refusal] = {}
        while waiting:
            plan = _place(waiting, head)
            if not plan.fitting and not looked:  # then no condition will tell
                looked, head = True, backbone().store.head(stream)
                continue
            try:
                self._append(plan.fitting, pauses)
            except Refused as conflict:
                known = [arrival for arrival, _ in plan.fitting if _ledger_part(arrival) in conflict.failed]
                for arrival in known:
                    self._settle(arrival)
                waiting = [arrival for arrival in waiting if arrival not in known]
                if not known:  # others have appended to the stream
                    pauses.pause()
                if waiting:
                    looked, head = True, backbone().store.head(stream)
            else:
                for arrival, refusal in plan.misfits:
                    self._settle(arrival, refusal)
                    refused[arrival.candidate.id] = refusal
                break
        for arrival in repetitions:
            self._settle(arrival, refused.get(arrival.candidate.id))

    def _refuse(self, message: str, body: str, refusal: Refusal) -> None:
        """Put the message among the dead letters, with the reason as attributes."""
        dead_letter.send(
            aws.client("sqs"),
            settings().dead_letter_queue_url,
            body,
            consumer=CONSUMER,
            error=refusal.code,
            reason=refusal.reason,
            event_id=refusal.event_id,
            event_type=refusal.event_type,
        )
        about = {"message_id": message, "event_id": refusal.event_id, "event_type": refusal.event_type}
        self._log.warning("refused", extra=about | {"error": refusal.code, "reason": refusal.reason})
        observability.count(self.metrics, observability.REFUSED)

    def _fail(self, about: Mapping[str, str], error: Exception) -> None:
        self.failed.append(about["message_id"])
        log_failure(self._log, about, error)
        observability.count(self.metrics, observability.FAILED)

    def _append(self, fitting: Sequence[tuple[_Arrival, Envelope]], pauses: Pauses) -> None:
        """All of them in one transaction, with their rows in the ledger."""
        if not fitting:
            return
        parts = {
            _ledger_part(arrival): backbone().ledger.record(_entry(arrival.candidate, envelope))
            for arrival, envelope in fitting
        }
        parts |= {f"event {envelope.metadata.id}": backbone().store.append(envelope) for _, envelope in fitting}
        write(backbone().dynamodb, parts, pauses)
        for arrival, envelope in fitting:
            self._settled.add(arrival.message)
            m = envelope.metadata
            self._log.info(
                "admitted",
                extra=_about(arrival)
                | {"stream": m.stream, "sequence": m.sequence, "correlation_id": m.correlation_id},
            )
        observability.count(self.metrics, observability.ADMITTED, len(fitting))

    def _settle(self, arrival: _Arrival, refusal: Refusal | None = None) -> None:
        """Drop what was admitted before; refuse it if that was with other content, if it was decided that this event is
        not to be admitted, or as told if nothing is known of it.
        """
        earlier = backbone().ledger.find(arrival.candidate.id, CONSUMER)
        decided = earlier is not None and earlier.done
        if earlier and decided and earlier.details.get("content_hash") != arrival.candidate.content_hash:
            told = _DISCARDED if earlier.state == DISCARDED else _ADMITTED
            # Not under the event's own id: that stands for what was admitted, or decided.
            refusal = Refusal("IdReused", told, event_type=arrival.candidate.contract.type)
        elif decided:
            refusal = None
            self._log.info("duplicate", extra=_about(arrival))
            observability.count(self.metrics, observability.DUPLICATES)
        if refusal:
            self._refuse(arrival.message, arrival.body, refusal)
        self._settled.add(arrival.message)


def _ledger_part(arrival: _Arrival) -> str:
    """The name of the arrival's row in the ledger among the parts of the transaction."""
    return f"ledger {arrival.candidate.id}"


def _each_once(arrivals: Iterable[_Arrival]) -> tuple[list[_Arrival], list[_Arrival]]:
    """The first arrival of each event, and the others: a batch may hold the same event twice."""
    first: dict[str, _Arrival] = {}
    repetitions = [arrival for arrival in arrivals if first.setdefault(arrival.candidate.id, arrival) is not arrival]
    return list(first.values()), repetitions


def _place(waiting: Sequence[_Arrival], head: Head | None) -> _Plan:
    """Each arrival's place in the stream that so far ends with `head`, one after the other."""
    plan = _Plan([], [])
    now = clock.now()
    for arrival in waiting:
        place = arrival.candidate.contract.place
        if place is Place.OPENS and head:
            told = "it opens a stream that is open already; was another event given the same id?"
            plan.misfits.append((arrival, _refusal(arrival, "StreamAlreadyOpen", told)))
            continue
        if place is Place.CONTINUES and not head:
            told = "it continues a stream that nothing has opened; send what opens it first"
            plan.misfits.append((arrival, _refusal(arrival, "StreamNotOpen", told)))
            continue
        try:
            envelope = successor(_draft(arrival.candidate), head, now)
        except EventTooLarge:
            plan.misfits.append((arrival, _refusal(arrival, "EventTooLarge", too_large().reason)))
            continue
        plan.fitting.append((arrival, envelope))
        head = Head.at(envelope)
    return plan


def _draft(candidate: Candidate) -> Draft:
    # What only joins a stream, a device's reports for example, is a story of its own each time.
    own_story = candidate.id if candidate.contract.place is Place.JOINS else None
    return Draft(
        id=candidate.id,
        type=candidate.contract.type,
        version=candidate.version,
        stream=candidate.stream,
        time=candidate.time,
        data=candidate.data,
        producer=candidate.source,
        source=candidate.contract.published_source,
        correlation_id=candidate.correlation_id or own_story,
        causation_id=candidate.causation_id,
    )


def _entry(candidate: Candidate, envelope: Envelope) -> Entry:
    return Entry(
        event=candidate.id,
        consumer=CONSUMER,
        state=COMMITTED,
        at=envelope.metadata.recorded_at,
        stream=candidate.stream,
        sequence=envelope.metadata.sequence,
        details={"content_hash": candidate.content_hash, "producer_id": candidate.producer_id},
    )


def _refusal(arrival: _Arrival, code: str, told: str) -> Refusal:
    candidate = arrival.candidate
    return Refusal(code, told, event_id=candidate.id, event_type=candidate.contract.type)


def _about(arrival: _Arrival) -> dict[str, str]:
    candidate = arrival.candidate
    return {"message_id": arrival.message, "event_id": candidate.id, "event_type": candidate.contract.type}

"""The runtime of a consumer: a batch of deliveries comes in, each is handled by itself, and what failed goes back.

A function's file holds its body and says by a decorator what it is:

    @reaction(OrderPlaced, emits=(StockReserved, OutOfStock))
    def handler(order: OrderPlaced, work: Work) -> None: ...

    @view(OrderPlaced)
    def handler(order: OrderPlaced) -> SetIfNewer: ...

The decorated name is the handler that Lambda calls.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

from aws_lambda_powertools.metrics import Metrics

from backbone import aws, clock, dead_letter, observability
from backbone.contract import ContractBroken, Event
from backbone.envelope import Metadata, NotAnEnvelope, read_detail
from backbone.ledger import Ledger
from backbone.names import consumer_name
from backbone.settings import settings
from backbone.store import EventStore
from backbone.transaction import Pauses, Refused, write
from backbone.view import Change, Projection
from backbone.work import Backbone, StreamTaken, Work

E = TypeVar("E", bound=Event)

# The position of the ledger's part in every transaction of a consumer.
_LEDGER = 0


class Duplicate(Exception):
    """The event was done before. Nothing was changed, and nothing need be."""


@dataclass(frozen=True, slots=True)
class Delivery(Generic[E]):
    """One message, read."""

    event: E
    metadata: Metadata


@cache
def backbone() -> Backbone:
    """This process's backbone."""
    dynamodb = aws.client("dynamodb")
    here = settings()
    return Backbone(
        dynamodb,
        EventStore(dynamodb, here.names.store),
        Ledger(dynamodb, here.names.ledger),
        here,
    )


class Consumer(ABC, Generic[E]):
    """One function's part in the system: which type of event it handles, and how. Lambda calls it with SQS batches."""

    kind: ClassVar[str]
    emits: tuple[type[Event], ...] = ()

    def __init__(self, event_type: type[E], module: str) -> None:
        self.event_type = event_type
        self.name = consumer_name(module)

    @abstractmethod
    def handle(self, delivery: Delivery[E], pauses: Pauses) -> None:
        """Do all that the event asks for, as one transaction. Raises Duplicate if it was done before."""

    def __call__(self, batch: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Handle an SQS batch, and name the messages that must come again (ReportBatchItemFailures)."""
        metrics = observability.metrics(settings().names.stage, self.name)
        failed = [
            {"itemIdentifier": record["messageId"]}
            for record in batch["Records"]
            if not self._done(record, context, metrics)
        ]
        observability.flush(metrics)
        return {"batchItemFailures": failed}

    def _done(self, record: Mapping[str, Any], context: Any, metrics: Metrics) -> bool:
        """Whether the message need not come again."""
        about: dict[str, Any] = {"message_id": record["messageId"], "try": _try(record)}
        try:
            self._process(record, context, metrics, about)
        except Exception as error:  # noqa: BLE001 - whatever it was, this message comes again and the others go on
            observability.logger(self.name).exception("failed", extra=about | {"error": type(error).__name__})
            observability.count(metrics, observability.FAILED)
            return False
        return True

    def _process(self, record: Mapping[str, Any], context: Any, metrics: Metrics, about: dict[str, Any]) -> None:
        log = observability.logger(self.name)
        try:
            delivery = self._read(record["body"])
        except (NotAnEnvelope, ContractBroken) as unreadable:
            self._bury(record, unreadable)
            log.warning("unreadable", extra=about | {"error": type(unreadable).__name__, "reason": str(unreadable)})
            observability.count(metrics, observability.UNREADABLE)
            return
        m = delivery.metadata
        about |= {"event_id": m.id, "event_type": m.type, "stream": m.stream, "sequence": m.sequence}
        about |= {"correlation_id": m.correlation_id}
        pauses = Pauses(lambda: context.get_remaining_time_in_millis() / 1000)
        try:
            # Only a redelivery is worth a look: the ledger's condition finds every other duplicate without one.
            if _try(record) > 1 and backbone().ledger.find(m.id, self.name):
                raise Duplicate  # noqa: TRY301 - one answer to both ways of finding out
            self.handle(delivery, pauses)
        except Duplicate:
            log.info("duplicate", extra=about)
            observability.count(metrics, observability.DUPLICATES)
        else:
            age = (clock.moment(clock.now()) - clock.moment(m.recorded_at)).total_seconds() * 1000
            log.info("committed", extra=about | {"age_ms": round(age), "conflicts": pauses.taken})
            observability.count(metrics, observability.COMMITTED)
            observability.age(metrics, age)
        if pauses.taken:
            observability.count(metrics, observability.CONFLICTS, pauses.taken)

    def _read(self, body: str) -> Delivery[E]:
        try:
            detail = json.loads(body)["detail"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            msg = "the message is not an event from the event bus"
            raise NotAnEnvelope(msg) from error
        metadata, data = read_detail(detail)
        if metadata.type != self.event_type.contract.type:
            msg = f"the message holds another type of event than {self.event_type.contract.type}"
            raise NotAnEnvelope(msg)
        return Delivery(self.event_type.read(data, version=metadata.version), metadata)

    def _bury(self, record: Mapping[str, Any], error: Exception) -> None:
        """Trying again would not mend the message: put it among the dead letters, with the reason."""
        dead_letter.send(
            aws.client("sqs"),
            settings().dead_letter_queue_url,
            record["body"],
            consumer=self.name,
            error=type(error).__name__,
            reason=str(error),
        )


def _try(record: Mapping[str, Any]) -> int:
    """The how manieth delivery of the message it is."""
    return int(record["attributes"]["ApproximateReceiveCount"])


ReactionBody = Callable[[E, Work], None]
ViewBody = Callable[[E], Change | Iterable[Change]]


class Reaction(Consumer[E]):
    """A consumer that decides: it reads and writes its service's state, and emits events."""

    kind = "reaction"

    def __init__(self, event_type: type[E], emits: tuple[type[Event], ...], body: ReactionBody[E]) -> None:
        super().__init__(event_type, body.__module__)
        self.emits = emits
        self.body = body

    def handle(self, delivery: Delivery[E], pauses: Pauses) -> None:
        while True:
            work = Work(backbone(), self.name, delivery.metadata, emits=self.emits, pauses=pauses)
            self.body(delivery.event, work)
            parts, openings = work.parts()
            try:
                write(backbone().dynamodb, parts, pauses)
            except Refused as refused:
                if _LEDGER in refused.failed:
                    raise Duplicate from None
                if openings & refused.failed.keys():
                    msg = f"{self.name} opens a stream that is open already"
                    raise StreamTaken(msg) from None
                pauses.pause()
            else:
                return


class View(Consumer[E]):
    """A consumer that keeps rows for people to read, made from nothing but the events."""

    kind = "view"

    def __init__(self, event_type: type[E], body: ViewBody[E]) -> None:
        super().__init__(event_type, body.__module__)
        self.body = body

    def handle(self, delivery: Delivery[E], pauses: Pauses) -> None:
        changes = self.body(delivery.event)
        several = [changes] if isinstance(changes, Change) else changes
        projection = Projection(backbone(), self.name, delivery.metadata, several)
        while True:
            try:
                write(backbone().dynamodb, projection.parts(), pauses)
            except Refused as refused:
                if _LEDGER in refused.failed:
                    raise Duplicate from None
                projection.give_up_superseded(refused.failed)
                pauses.pause()
            else:
                return


def reaction(event_type: type[E], *, emits: tuple[type[Event], ...] = ()) -> Callable[[ReactionBody[E]], Reaction[E]]:
    """Make a body that decides into a handler for one type of event. `emits` are all that it may say."""
    return lambda body: Reaction(event_type, emits, body)


def view(event_type: type[E]) -> Callable[[ViewBody[E]], View[E]]:
    """Make a body that maps an event to changes of rows into a handler for one type of event."""
    return lambda body: View(event_type, body)

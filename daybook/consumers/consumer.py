"""Consumers: what a function is, which type of event it handles, and how.

A function's file holds its body and says by a decorator what it is:

    @reaction(OrderPlaced, emits=(StockReserved, OutOfStock))
    def handler(order: OrderPlaced, work: Work) -> None: ...

    @view(OrderPlaced)
    def handler(order: OrderPlaced) -> SetIfNewer: ...

    @effect(StockReserved, purpose="charge/{order_id}", emits=(PaymentSucceeded, PaymentFailed))
    def handler(stock: StockReserved, attempt: Attempt) -> Event: ...

The decorated name is the handler that Lambda calls. What is common to the three kinds stands here; each has a module of
its own.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, ClassVar, Generic, TypeVar

from daybook.consumers.delivery import Delivery
from daybook.consumers.outcome import Duplicate
from daybook.consumers.pipeline import Pipeline
from daybook.consumers.work import LEDGER, Backbone, Work
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Metadata, NotAnEnvelope, read_detail
from daybook.runtime import aws
from daybook.runtime.names import consumer_name, service_name
from daybook.runtime.settings import settings
from daybook.store.cursor import Overtaken
from daybook.store.event_store import EventStore
from daybook.store.ledger import Entry, Ledger
from daybook.store.timers import DueTable
from daybook.store.transaction import Pauses, Refused, write

E = TypeVar("E", bound=Event)


@cache
def backbone() -> Backbone:
    """This process's backbone."""
    dynamodb = aws.client("dynamodb")
    here = settings()
    return Backbone(
        dynamodb,
        EventStore(dynamodb, here.names.store),
        Ledger(dynamodb, here.names.ledger),
        DueTable(dynamodb, here.names.due),
        here,
    )


class Consumer(ABC, Generic[E]):
    """One function's part in the system: which type of event it handles, and how. Lambda calls it with SQS batches."""

    kind: ClassVar[str]
    ordered: ClassVar[bool] = False
    emits: tuple[type[Event], ...] = ()

    def __init__(self, event_type: type[E], body: Callable[..., Any]) -> None:
        self.event_type = event_type
        self.name = consumer_name(body.__module__, body.__name__)
        self.service = service_name(body.__module__)
        self.handler = f"{body.__module__}.{body.__name__}"  # as Lambda finds it

    def __call__(self, batch: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Handle an SQS batch, and name the messages that are redelivered (ReportBatchItemFailures)."""
        return Pipeline(self, backbone().ledger, context).handle_batch(batch["Records"])

    def handle(self, delivery: Delivery, pipeline: Pipeline) -> None:
        """Handle one delivery: its event, as one attempt."""
        pipeline.handle(delivery, partial(self.attempt, delivery))

    def attempt(self, delivery: Delivery, pauses: Pauses) -> None:
        """Do all that the event asks for, as one transaction.

        Raises Duplicate if it was done before, ContractBroken and UnknownVersion if it cannot be read, OutOfTime if
        others were in the way for too long, and what the body raises.
        """
        event = self.event_type.read(delivery.data, version=delivery.metadata.version)
        self.react(event, delivery.metadata, pauses)

    @abstractmethod
    def react(self, event: E, metadata: Metadata, pauses: Pauses) -> None:
        """What this kind of consumer does with an event."""

    def read(self, body: str) -> tuple[Metadata, str]:
        """The event's metadata in the body of a message, and its data as JSON text. Raises NotAnEnvelope."""
        try:
            detail = json.loads(body)["detail"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            msg = "the message is not an event from the event bus"
            raise NotAnEnvelope(msg) from error
        metadata, data = read_detail(detail)
        if metadata.type != self.event_type.contract.type:
            msg = f"the message holds another type of event than {self.event_type.contract.type}"
            raise NotAnEnvelope(msg)
        return metadata, data

    def noted(self, metadata: Metadata) -> Entry | None:
        """The ledger's row that would hold a note on why the message of this event is redelivered."""
        return backbone().ledger.find(metadata.id, self.name)

    def commit(
        self,
        decide: Callable[[Work], None],
        metadata: Metadata,
        pauses: Pauses,
        *,
        beside: Callable[[Work], Mapping[str, Mapping[str, Any]]] = lambda _: {},
        happened: bool = False,
    ) -> None:
        """Do all that is decided, in one transaction with the named parts that belong beside it.

        `happened`: it records what an external system has done, and no decision to discard the event holds it up.
        Raises Duplicate if the event was done before, Overtaken if one of the parts beside was refused.
        """
        while True:
            work = Work(backbone(), self.name, metadata, emits=self.emits, pauses=pauses)
            decide(work)
            parts, final = work.parts(happened=happened)
            others = beside(work)
            try:
                write(backbone().dynamodb, {**parts, **others}, pauses)
            except Refused as refused:
                if refused.failed.keys() & others.keys():
                    raise Overtaken from None
                if LEDGER in refused.failed:
                    raise Duplicate from None
                # Beside a row that was written meanwhile it is what the faster one has opened: the body looks again.
                if refused.failed.keys() <= final.keys():
                    raise final[next(iter(refused.failed))] from None
                pauses.pause()
            else:
                return

    def description(self) -> dict[str, Any]:
        """What it is, for those who operate it, as JSON can hold it: `service`, `kind`, `event`, `emits`, `ordered`; an
        effect's `purpose`, and whether it `can_ask` what became of an attempt.
        """
        return {
            "service": self.service,
            "kind": self.kind,
            "event": self.event_type.contract.type,
            "emits": [event.contract.type for event in self.emits],
            "ordered": self.ordered,
        }

"""Consumers: what a function is, which type of event it handles, and how.

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
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

from backbone import aws
from backbone.contract import Event
from backbone.envelope import Metadata, NotAnEnvelope, read_detail
from backbone.ledger import Ledger
from backbone.names import consumer_name
from backbone.runtime import BatchRun, Duplicate
from backbone.settings import settings
from backbone.store import EventStore
from backbone.timers import DueTable
from backbone.transaction import Pauses, Refused, write
from backbone.view import Change, Projection
from backbone.work import Backbone, Work

E = TypeVar("E", bound=Event)

# The position of the ledger's part in every transaction of a consumer.
_LEDGER = 0


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
    emits: tuple[type[Event], ...] = ()

    def __init__(self, event_type: type[E], module: str) -> None:
        self.event_type = event_type
        self.name = consumer_name(module)

    def __call__(self, batch: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Handle an SQS batch, and name the messages that must come again (ReportBatchItemFailures)."""
        run = BatchRun(self, backbone().ledger, context)
        run.run(batch["Records"])
        return {"batchItemFailures": [{"itemIdentifier": message} for message in run.again]}

    def metadata(self, body: str) -> tuple[Metadata, str]:
        """What is told of the event in a message, and its data as JSON text. Raises NotAnEnvelope."""
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

    def handle(self, metadata: Metadata, data: str, pauses: Pauses) -> None:
        """Do all that the event asks for, as one transaction.

        Raises Duplicate if it was done before, ContractBroken and UnknownVersion if it cannot be read, OutOfTime if
        others were in the way for too long, and what the body raises.
        """
        self.react(self.event_type.read(data, version=metadata.version), metadata, pauses)

    @abstractmethod
    def react(self, event: E, metadata: Metadata, pauses: Pauses) -> None:
        """What this kind of consumer does with an event."""


ReactionBody = Callable[[E, Work], None]
ViewBody = Callable[[E], Change | Iterable[Change]]


class Reaction(Consumer[E]):
    """A consumer that decides: it reads and writes its service's state, and emits events."""

    kind = "reaction"

    def __init__(self, event_type: type[E], emits: tuple[type[Event], ...], body: ReactionBody[E]) -> None:
        super().__init__(event_type, body.__module__)
        self.emits = emits
        self.body = body

    def react(self, event: E, metadata: Metadata, pauses: Pauses) -> None:
        while True:
            work = Work(backbone(), self.name, metadata, emits=self.emits, pauses=pauses)
            self.body(event, work)
            parts, final = work.parts()
            try:
                write(backbone().dynamodb, parts, pauses)
            except Refused as refused:
                if _LEDGER in refused.failed:
                    raise Duplicate from None
                if ended := final.keys() & refused.failed.keys():
                    raise final[min(ended)] from None
                pauses.pause()
            else:
                return


class View(Consumer[E]):
    """A consumer that keeps rows for people to read, made from nothing but the events."""

    kind = "view"

    def __init__(self, event_type: type[E], body: ViewBody[E]) -> None:
        super().__init__(event_type, body.__module__)
        self.body = body

    def react(self, event: E, metadata: Metadata, pauses: Pauses) -> None:
        changes = self.body(event)
        several = [changes] if isinstance(changes, Change) else changes
        projection = Projection(backbone(), self.name, metadata, several)
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

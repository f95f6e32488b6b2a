"""Consumers: the handlers that Lambda calls, each for one type of event.

A function's file contains its body. A decorator says which kind of consumer it is:

    @reaction(OrderPlaced, emits=(StockReserved, OutOfStock))
    def handler(order: OrderPlaced, work: Work) -> None: ...

    @view(OrderPlaced)
    def handler(order: OrderPlaced) -> SetIfNewer: ...

    @effect(StockReserved, idempotency_key="charge/{order_id}", emits=(PaymentSucceeded, PaymentFailed))
    def handler(stock: StockReserved, record: EffectRecord) -> Event: ...

Lambda calls the decorated name. This module has what the three kinds share; each kind has a module of its own.
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
from daybook.contracts.envelope import Metadata, NotAnEnvelope, Pointer, read_pointer
from daybook.runtime import aws
from daybook.runtime.keyring import keyring
from daybook.runtime.names import consumer_name, service_name
from daybook.runtime.settings import settings
from daybook.store.cursor import ConcurrentWrite
from daybook.store.event_store import EventStore
from daybook.store.journal_shards import JournalShards
from daybook.store.ledger import Ledger, LedgerEntry
from daybook.store.ledger import from_item as entry_in
from daybook.store.timers import DueTable
from daybook.store.transaction import Backoff, ConditionsFailed, write, write_alone

E = TypeVar("E", bound=Event)


@cache
def journal_shards() -> JournalShards:
    """The numbers of the journal's shards, as this process knows them."""
    names = settings().names
    return JournalShards(aws.client("dynamodb"), names.ledger, names.journal_shards)


@cache
def backbone() -> Backbone:
    """This process's backbone."""
    dynamodb = aws.client("dynamodb")
    here = settings()
    return Backbone(
        dynamodb,
        EventStore(dynamodb, here.names.store, journal_shards()),
        Ledger(dynamodb, here.names.ledger),
        DueTable(dynamodb, here.names.due),
        keyring(),
        here,
    )


def duplicate(conflict: ConditionsFailed) -> Duplicate:
    """The error after a transaction failed because the event is already done. Raises LedgerRowNotProven if the row that
    says so is not proven.
    """
    backbone().keyring.check_row(entry_in(conflict.failed[LEDGER] or {}).row)
    return Duplicate()


def end_if_done(row: LedgerEntry | None) -> None:
    """Raise Duplicate if the ledger's row says that the event is done, LedgerRowNotProven if it is not proven."""
    if row and row.done:
        backbone().keyring.check_row(row.row)
        raise Duplicate


def _write(parts: Mapping[str, Mapping[str, Any]], backoff: Backoff) -> None:
    """Write the parts of a unit of work: a ledger row without anything else needs no transaction."""
    if parts.keys() == {LEDGER}:
        write_alone(backbone().dynamodb, LEDGER, parts[LEDGER], backoff)
    else:
        write(backbone().dynamodb, parts, backoff)


class Consumer(ABC, Generic[E]):
    """A handler for one type of event. Lambda calls it with SQS batches."""

    kind: ClassVar[str]
    ordered: ClassVar[bool] = False
    emits: tuple[type[Event], ...] = ()

    def __init__(self, event_type: type[E], body: Callable[..., Any]) -> None:
        self.event_type = event_type
        self.name = consumer_name(body.__module__, body.__name__)
        self.service = service_name(body.__module__)
        self.handler = f"{body.__module__}.{body.__name__}"  # as Lambda finds it

    def __call__(self, batch: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Handle an SQS batch. Returns the messages that SQS must redeliver (ReportBatchItemFailures)."""
        return Pipeline(self, backbone().store, backbone().ledger, context).handle_batch(batch["Records"])

    def handle(self, delivery: Delivery, pipeline: Pipeline) -> None:
        """Handle one delivery as one delivery attempt."""
        pipeline.handle(delivery, partial(self.attempt, delivery))

    def attempt(self, delivery: Delivery, backoff: Backoff) -> None:
        """Process the event in one transaction.

        Raises Duplicate if it was processed before, ContractBroken and UnknownVersion if it cannot be read, OutOfTime
        if conflicts took too long, and any error of the body.
        """
        event = self.event_type.read(delivery.data, version=delivery.metadata.version)
        self.react(event, delivery.metadata, backoff)

    @abstractmethod
    def react(self, event: E, metadata: Metadata, backoff: Backoff) -> None:
        """Process one event, in the way of this kind of consumer."""

    def read(self, body: str) -> Pointer:
        """The pointer in a message body. Raises NotAnEnvelope."""
        try:
            detail = json.loads(body)["detail"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            msg = "the message is not an event from the event bus"
            raise NotAnEnvelope(msg) from error
        pointer = read_pointer(detail)
        if pointer.type != self.event_type.contract.type:
            msg = f"the message must point to an event of the type {self.event_type.contract.type}"
            raise NotAnEnvelope(msg)
        return pointer

    def ledger_row(self, metadata: Metadata) -> LedgerEntry | None:
        """The ledger row that holds the note on why this event's message is redelivered, if there is one."""
        return backbone().ledger.find(metadata.id, self.name)

    def commit(
        self,
        decide: Callable[[Work], None],
        metadata: Metadata,
        backoff: Backoff,
        *,
        extra: Mapping[str, Mapping[str, Any]] | None = None,
        effect: str = "",
    ) -> None:
        """Run `decide`, and commit its unit of work in one transaction with these named `extra` parts.

        `effect`: the unit of work records the outcome of the effect with this idempotency key, so it is committed even
        if an operator has discarded the event meanwhile. Raises Duplicate if the event was processed before,
        LedgerRowNotProven if only a row without a proof says so, and ConcurrentWrite if a condition of one of the extra
        parts failed.
        """
        extra = extra or {}
        while True:
            work = Work(backbone(), self.name, metadata, emits=self.emits, backoff=backoff)
            decide(work)
            parts, final = work.parts(effect=effect)
            try:
                _write({**parts, **extra}, backoff)
            except ConditionsFailed as conflict:
                if conflict.failed.keys() & extra.keys():
                    raise ConcurrentWrite from None
                if LEDGER in conflict.failed:
                    raise duplicate(conflict) from None
                # If a row has changed too, another unit of work may have opened the stream: the body runs again.
                if conflict.failed.keys() <= final.keys():
                    raise final[next(iter(conflict.failed))] from None
                backoff.wait()
            else:
                return

    def description(self) -> dict[str, Any]:
        """The consumer's description for the operator's commands, as JSON values: `service`, `kind`, `event`, `emits`,
        `ordered`; for an effect also `idempotency_key`, and `can_query`: whether it can query the outcome of an
        earlier call.
        """
        return {
            "service": self.service,
            "kind": self.kind,
            "event": self.event_type.contract.type,
            "emits": [event.contract.type for event in self.emits],
            "ordered": self.ordered,
        }

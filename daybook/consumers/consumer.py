"""Consumers: what a function is, which type of event it handles, and how.

A function's file holds its body and says by a decorator what it is:

    @reaction(OrderPlaced, emits=(StockReserved, OutOfStock))
    def handler(order: OrderPlaced, work: Work) -> None: ...

    @view(OrderPlaced)
    def handler(order: OrderPlaced) -> SetIfNewer: ...

    @effect(StockReserved, purpose="charge/{order_id}", emits=(PaymentSucceeded, PaymentFailed))
    def handler(stock: StockReserved, attempt: Attempt) -> Event: ...

The decorated name is the handler that Lambda calls. With `ordered=True` a reaction handles the events of each stream in
the stream's order, however they arrive.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from string import Formatter
from typing import Any, ClassVar, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from daybook.consumers.delivery import BatchRun, Duplicate
from daybook.consumers.effect_records import Attempt, Attempts, Busy, Concluded, NothingDone, OutcomeUnknown
from daybook.consumers.failure import NotYet, Rejected, kind, reason
from daybook.consumers.ordered import OrderedRun
from daybook.consumers.switch import Circuit, Switches
from daybook.consumers.view import POINTER, Change, Generations, Projection, row_changes
from daybook.consumers.work import Backbone, Work
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Metadata, NotAnEnvelope, read_detail
from daybook.runtime import aws, observability
from daybook.runtime.names import consumer_name, service_name
from daybook.runtime.settings import settings
from daybook.store.attributes import pack
from daybook.store.cursor import Cursors, Overtaken
from daybook.store.event_store import EventStore
from daybook.store.ledger import Ledger
from daybook.store.state import KEY
from daybook.store.timers import DueTable
from daybook.store.transaction import OutOfTime, Pauses, Refused, batch_get, write

E = TypeVar("E", bound=Event)

# What code raises that does not understand what it has; calls that fail raise other errors.
_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError, ValueError)

# The position of the ledger's part in every transaction of a consumer.
_LEDGER = 0

# By this a view's function knows that it is only asked what events would change.
PROJECT = "project"


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
        """Handle an SQS batch, and name the messages that must come again (ReportBatchItemFailures)."""
        run = self.batch(context)
        run.run(batch["Records"])
        return {"batchItemFailures": [{"itemIdentifier": message} for message in run.again]}

    def batch(self, context: Any) -> BatchRun:
        """How this kind of consumer handles a batch."""
        return BatchRun(self, backbone().ledger, context)

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

    def commit(
        self,
        decide: Callable[[Work], None],
        metadata: Metadata,
        pauses: Pauses,
        *,
        beside: Callable[[Work], Sequence[Mapping[str, Any]]] = lambda _: (),
        happened: bool = False,
    ) -> None:
        """Do all that is decided, in one transaction with the parts that belong beside it.

        `happened`: it is an account of what the world outside has done, and no decision to discard it holds it up.
        Raises Duplicate if the event was done before, Overtaken if one of the other parts was refused.
        """
        while True:
            work = Work(backbone(), self.name, metadata, emits=self.emits, pauses=pauses)
            decide(work)
            parts, final = work.parts(happened=happened)
            try:
                write(backbone().dynamodb, [*parts, *beside(work)], pauses)
            except Refused as refused:
                if any(position >= len(parts) for position in refused.failed):
                    raise Overtaken from None
                if _LEDGER in refused.failed:
                    raise Duplicate from None
                # Beside a row that was written meanwhile it is what the faster one has opened: the body looks again.
                if refused.failed.keys() <= final.keys():
                    raise final[min(refused.failed)] from None
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

    @abstractmethod
    def react(self, event: E, metadata: Metadata, pauses: Pauses) -> None:
        """What this kind of consumer does with an event."""


ReactionBody = Callable[[E, Work], None]
EffectBody = Callable[[E, Attempt], Event | None]
ViewBody = Callable[[E], Change | Iterable[Change]]


class Reaction(Consumer[E]):
    """A consumer that decides: it reads and writes its service's state, and emits events."""

    kind = "reaction"

    def __init__(self, event_type: type[E], emits: tuple[type[Event], ...], body: ReactionBody[E]) -> None:
        super().__init__(event_type, body)
        self.emits = emits
        self.body = body

    def react(self, event: E, metadata: Metadata, pauses: Pauses) -> None:
        self.commit(partial(self.body, event), metadata, pauses)


class OrderedReaction(Reaction[E]):
    """A reaction that handles the events of a stream in the stream's order. A message only tells it to look."""

    ordered = True

    def batch(self, context: Any) -> BatchRun:
        here = backbone()
        cursors = Cursors(here.dynamodb, here.settings.names.ledger, self.name)
        return OrderedRun(self, here.store, here.ledger, cursors, context)

    def handle_in_order(self, metadata: Metadata, data: str, pauses: Pauses, *, moved: Mapping[str, Any]) -> None:
        """The same as `handle`, in one transaction with the cursor. Raises Overtaken if another run was there first."""
        event = self.event_type.read(data, version=metadata.version)
        self.commit(partial(self.body, event), metadata, pauses, beside=lambda _: [moved])


class View(Consumer[E]):
    """A consumer that keeps rows for people to read, made from nothing but the events."""

    kind = "view"

    def __init__(self, event_type: type[E], body: ViewBody[E]) -> None:
        super().__init__(event_type, body)
        self.body = body

    def __call__(self, batch: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Handle an SQS batch; or say what events would change, and change nothing.

        That is asked as {"project": [{"id", "version", "data"}, …]}, and answered as {"projected": […]}: for each event
        {"rows": [RowChange.as_data(), …]}, or {"error", "reason"}.
        """
        if PROJECT in batch:
            return {"projected": [self._projected(told) for told in batch[PROJECT]]}
        return super().__call__(batch, context)

    def batch(self, context: Any) -> BatchRun:
        # For this invocation alone: whoever builds a generation waits until every invocation before has ended.
        self._generations: dict[str, Generations] = {}
        return super().batch(context)

    def react(self, event: E, metadata: Metadata, pauses: Pauses) -> None:
        rows = row_changes(self.body(event), metadata.id)
        self._look_at_generations({row.table for row in rows} - self._generations.keys(), pauses)
        projection = Projection(backbone(), self.name, metadata, rows, self._generations)
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

    def _look_at_generations(self, tables: Iterable[str], pauses: Pauses) -> None:
        names = {backbone().settings.table(table): table for table in tables}
        if not names:
            return
        pointer = {KEY: pack(POINTER)}
        request = {name: {"Keys": [pointer], "ConsistentRead": True} for name in names}
        found = {names[name]: item for name, item in batch_get(backbone().dynamodb, request, pauses)}
        self._generations |= {table: Generations.in_item(found.get(table)) for table in names.values()}

    def _projected(self, told: Mapping[str, Any]) -> dict[str, Any]:
        try:
            event = self.event_type.read(told["data"], version=told["version"])
            return {"rows": [row.as_data() for row in row_changes(self.body(event), told["id"])]}
        except Exception as error:  # noqa: BLE001 - whoever asked is told of each event by itself
            return {"error": kind(error), "reason": reason(error)}


class NoPurpose(TypeError):
    """An effect's purpose names no field of its event, or one that it has not. It must tell one thing from another."""


class Effect(Consumer[E]):
    """A consumer that calls the world outside, and does nothing else.

    Before its body is run, the attempt is noted for good under its purpose; after it, the outcome is committed as an
    event. An attempt without an outcome is taken up again by a body that can ask what became of it. Otherwise it was
    the only one: whoever finds it, raises OutcomeUnknown.
    """

    kind = "effect"

    def __init__(
        self,
        event_type: type[E],
        emits: tuple[type[Event], ...],
        body: EffectBody[E],
        *,
        purpose: str,
        can_ask: bool,
        calls: int,
    ) -> None:
        super().__init__(event_type, body)
        named = {field for _, field, _, _ in Formatter().parse(purpose) if field is not None}
        if not named or named - event_type.model_fields.keys():
            msg = f"{body.__module__}: the purpose {purpose!r} must be told by fields of {event_type.__name__}"
            raise NoPurpose(msg)
        self.emits = emits
        self.body = body
        self.purpose = purpose
        self.can_ask = can_ask
        self.calls = calls

    def description(self) -> dict[str, Any]:
        return super().description() | {"purpose": self.purpose, "can_ask": self.can_ask}

    def react(self, event: E, metadata: Metadata, pauses: Pauses) -> None:
        here = backbone()
        table = here.settings.names.ledger
        switches = Switches(here.dynamodb, table)
        # A commit would find out, but too late: what is done or discarded is not to be attempted.
        row, switch = switches.beside(metadata.id, self.name, pauses)
        if row and row.done:
            raise Duplicate
        circuit = Circuit(switches, switch, here.settings.breaker, metadata.id)
        circuit.enter(pauses.remaining)
        attempts = Attempts(here.dynamodb, table, self.name)
        purpose = self.purpose.format(**dict(event))
        try:
            attempt = attempts.begin(purpose, cause=metadata.id, seconds=pauses.remaining)
        except Concluded:
            circuit.came_to_nothing()
            self.commit(lambda _: None, metadata, pauses)
            return
        except Exception:
            circuit.came_to_nothing()
            raise
        try:
            outcome = self._outcome(event, attempt, pauses)
        except Exception as error:
            self._learn(circuit, attempt, error)
            raise
        try:
            self._conclude(attempt, outcome, metadata, pauses)
        except Exception:
            self._learn(circuit, attempt)
            raise
        self._learn(circuit, attempt)

    def _learn(self, circuit: Circuit, attempt: Attempt, error: Exception | None = None) -> None:
        """What the way in which the body has ended says of the world outside."""
        log, about = observability.logger(self.name), {"event_id": circuit.event}
        if isinstance(error, NothingDone) or (isinstance(error, OutcomeUnknown) and error.unanswered):
            if circuit.failed():
                log.error("breaker opens", extra=about | {"pause": circuit.switch.pause, "error": kind(error)})
                metrics = observability.metrics(backbone().settings.names.stage, self.name)
                observability.count(metrics, observability.BREAKER_OPEN)
            error.patience = circuit.switch.patience(backbone().settings.retry.patience)
        elif attempt.untouched or isinstance(error, Busy | OutcomeUnknown | OutOfTime):
            circuit.came_to_nothing()
        elif circuit.answered():
            log.info("breaker closes", extra=about)

    def _outcome(self, event: E, attempt: Attempt, pauses: Pauses) -> Event | None:
        if attempt.in_doubt and not self.can_ask:
            _leave(attempt)
            msg = "it was attempted before, and nothing tells how that ended"
            raise OutcomeUnknown(msg, final=True)
        if pauses.remaining < self.calls * backbone().settings.call_timeout:
            _withdraw(attempt, pauses)
            msg = "too little time is left to wait for the answers of the world outside"
            raise OutOfTime(msg)
        try:
            return self.body(event, attempt)
        except Busy:
            raise
        except (NothingDone, Rejected):
            _withdraw(attempt, pauses)
            raise
        except NotYet:
            _leave(attempt)
            raise
        except Exception as error:
            if attempt.untouched:
                _withdraw(attempt, pauses)
                raise
            _leave(attempt)
            msg = f"the call ended in {kind(error)}, and whether it took effect is not known"
            raise OutcomeUnknown(msg, final=not self.can_ask, unanswered=_is_no_answer(error)) from error

    def _conclude(self, attempt: Attempt, outcome: Event | None, metadata: Metadata, pauses: Pauses) -> None:
        def tell(work: Work) -> None:
            if outcome is not None:
                work.emit(outcome)

        def conclusion(work: Work) -> list[dict[str, Any]]:
            return [attempt.conclusion(work.emitted_ids)]

        while True:
            try:
                self.commit(tell, metadata, pauses, beside=conclusion, happened=True)
            except Overtaken as error:
                msg = "another process has concluded the attempt"
                raise Busy(msg) from error
            except (ClientError, BotoCoreError):
                pauses.pause()  # it has happened, and only this process knows: for as long as there is time
            else:
                return


def _is_no_answer(error: Exception) -> bool:
    """Whether the call itself has failed, and not what the body makes of its answer."""
    return not isinstance(error, _BUGS)


def _withdraw(attempt: Attempt, pauses: Pauses) -> None:
    """Note that the attempt had no effect, for as long as there is time. Of one that is in doubt nobody can say so of
    what was tried before: it stays open.
    """
    if attempt.in_doubt:
        _leave(attempt)
        return
    while True:
        try:
            attempt.withdraw()
        except (ClientError, BotoCoreError):
            pauses.pause()
        else:
            return


def _leave(attempt: Attempt) -> None:
    """Leave the attempt open and free to look at. If that fails, it is free once this process must have ended."""
    with suppress(ClientError, BotoCoreError):
        attempt.leave()


def reaction(
    event_type: type[E], *, emits: tuple[type[Event], ...] = (), ordered: bool = False
) -> Callable[[ReactionBody[E]], Reaction[E]]:
    """Make a body that decides into a handler for one type of event. `emits` are all that it may say.

    `ordered` has it handle the events of each stream in the stream's order; one that fails holds up its own stream.
    """
    made = OrderedReaction[E] if ordered else Reaction[E]
    return lambda body: made(event_type, emits, body)


def view(event_type: type[E]) -> Callable[[ViewBody[E]], View[E]]:
    """Make a body that maps an event to changes of rows into a handler for one type of event."""
    return lambda body: View(event_type, body)


def effect(
    event_type: type[E], *, purpose: str, emits: tuple[type[Event], ...], can_ask: bool = False, calls: int = 1
) -> Callable[[EffectBody[E]], Effect[E]]:
    """Make a body that calls the world outside into a handler for one type of event. It returns the outcome.

    `purpose` names what is to happen once, in the business's words and by fields of the event: `charge/{order_id}`.
    `can_ask`: the body finds out what became of an attempt that is in doubt, and goes on from there; otherwise such an
    attempt ends as OutcomeUnknown. `calls` are the most that the body makes, each of which has the stage's time.

    The body raises NothingDone if the outside certainly did nothing and the delivery should be tried again, Rejected if
    it never will, NotYet if the outcome is not there yet. Any other error leaves the outcome unknown, but for what the
    body does while `attempt.preparing()`. An attempt that is in doubt stays so, whatever the body raises: only an
    outcome ends it.
    """
    return lambda body: Effect(event_type, emits, body, purpose=purpose, can_ask=can_ask, calls=calls)

"""A service: its tables, and its functions, each with its rule, queue, dead-letter queue, permissions and alarms.

class Inventory(Service):
    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "inventory", stage=stage)
        stock = self.table("stock")
        self.reaction("receive_stock", StockReceived, changes=[stock])
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from constructs import Construct

from daybook.constructs import bundle
from daybook.constructs.backbone_access import BackboneAccess
from daybook.constructs.dashboard import dashboard
from daybook.constructs.keys import DECRYPT, Data, allow_key
from daybook.constructs.layer import packages
from daybook.constructs.listener import Listener
from daybook.constructs.stage import Stage
from daybook.constructs.tables import table
from daybook.consumers.consumer import Consumer
from daybook.consumers.effect import Effect
from daybook.contracts.contract import Event
from daybook.runtime.names import DEAD_LETTERS
from daybook.runtime.settings import BREAKER, CALL_TIMEOUT, CONSUMER, option_variable, table_variable
from daybook.store.state import row_table


class StackHandlerMismatch(ValueError):
    """A line of a stack does not match its function: kind, event or name differ. Correct the one that is wrong."""


@dataclass(frozen=True, slots=True)
class ServiceTable:
    """A table of a service, and its name in the class of its rows."""

    name: str
    table: dynamodb.Table


def consumers_of(service: str) -> list[Consumer[Any]]:
    """The consumers of a service: those in the modules of its folder that run in Lambda."""
    return [
        value
        for module in sorted(bundle.modules(service))
        for name, value in vars(import_module(module)).items()
        if isinstance(value, Consumer) and value.handler == f"{module}.{name}"
    ]


class Service(Stack):
    """The stack of one service. It depends on the backbone's, and on no other."""

    def __init__(self, scope: Construct, name: str, *, stage: Stage) -> None:
        super().__init__(
            scope,
            stage.names.of(name),
            description=f"Daybook, {stage.name}: {name}",
            termination_protection=stage.termination_protection,
        )
        self.service = name
        self.stage = stage
        self.tables: list[str] = []
        self._backbone = BackboneAccess(self, stage=stage)
        self._code = bundle.code(name, stage=stage)
        self._consumers = consumers_of(name)
        self._layers = packages(self, stage=stage, service=name)
        self._dashboard = dashboard(self, stage=stage, name=name) if stage.dashboards else None

    @property
    def alarms(self) -> sns.ITopic:
        """The topic that alarms notify."""
        return self._backbone.alarms

    def table(self, name: str, *, index: str | None = None) -> ServiceTable:
        """A table with one row for each key. The rows' class names it: `class StockItem(State, table="stock", …)`.

        `index` is a field that all rows have. The table gets an index with this name, sorted by key.
        """
        self.tables.append(name)
        construct_id = "".join(word.capitalize() for word in name.split("-")) + "Table"
        made = table(self, construct_id, stage=self.stage, schema=row_table(*([index] if index else [])))
        return ServiceTable(name, made)

    def reaction(
        self,
        function: str,
        event: type[Event],
        *,
        reads: Iterable[ServiceTable] = (),
        changes: Iterable[ServiceTable] = (),
        saves: Iterable[ServiceTable] = (),
        reads_history: type[Event] | None = None,
        reads_statuses_of: Iterable[str] = (),
    ) -> Listener:
        """Deploy `function` as a reaction to `event`, with permissions for these tables: `reads` for Work.read,
        `changes` for Work.change, `saves` for Work.save. With an event type as `reads_history`, Work.history may read
        the streams of such events. Work.pending may read the processing statuses of the consumers in
        `reads_statuses_of`.
        """
        reads, changes, saves = list(reads), list(changes), list(saves)
        handler = self._handler(function, "reaction", event)
        listener = self._listener(handler, [*reads, *changes, *saves])
        for each in reads:
            listener.function.allow(["dynamodb:BatchGetItem"], each.table.table_arn)
        for each in changes:
            listener.function.allow(["dynamodb:UpdateItem"], each.table.table_arn)
        for each in saves:
            listener.function.allow(["dynamodb:PutItem"], each.table.table_arn)
        self._backbone.allow_append(listener.function, [e for e in handler.emits if not e.contract.timer])
        self._backbone.allow_scheduling(listener.function, handler.emits)
        if handler.ordered:
            self._backbone.allow_reading_streams(listener.function, event)
        if reads_history:
            self._backbone.allow_reading_streams(listener.function, reads_history)
        if reads_statuses_of:
            self._backbone.allow_statuses(listener.function, *reads_statuses_of)
        return listener

    def effect(self, function: str, event: type[Event], *, options: Mapping[str, str]) -> Listener:
        """Deploy `function` as an effect of `event`. It reads `options` by name (Settings.option)."""
        handler = self._handler(function, "effect", event)
        if not isinstance(handler, Effect):
            raise TypeError(handler)
        listener = self._listener(
            handler,
            [],
            environment={
                CALL_TIMEOUT: str(self.stage.call_timeout),
                BREAKER: self.stage.breaker.to_json(),
                **{option_variable(name): value for name, value in options.items()},
            },
            timeout=self.stage.effect_timeout(handler.calls),
            # A process that dies, or waits for a slow answer, delays no other message.
            batch_size=1,
        )
        self._backbone.allow_append(listener.function, handler.emits)
        self._backbone.allow_statuses(listener.function, handler.name)
        return listener

    def view(self, function: str, event: type[Event], *, rows: ServiceTable | Sequence[ServiceTable]) -> Listener:
        """Deploy `function` as a view of `event`, with rows in one table or several."""
        tables = [rows] if isinstance(rows, ServiceTable) else list(rows)
        listener = self._listener(self._handler(function, "view", event), tables)
        for each in tables:
            # It reads the generations to write to from the table itself.
            listener.function.allow(["dynamodb:BatchGetItem", "dynamodb:UpdateItem"], each.table.table_arn)
        return listener

    def _handler(self, function: str, kind: str, event: type[Event]) -> Consumer[Any]:
        """The function with this name. Raises StackHandlerMismatch if it does not match the stack's line."""
        found = [consumer for consumer in self._consumers if consumer.name == function.replace("_", "-")]
        if len(found) != 1:
            msg = (
                f"{len(found)} functions of {self.service} are named {function}; decorate one with @reaction, @view or "
                "@effect, in a module of the service's folder that does not import daybook.operate"
            )
            raise StackHandlerMismatch(msg)
        (handler,) = found
        if (handler.kind, handler.event_type) != (kind, event):
            msg = (
                f"{handler.handler} is a {handler.kind} of {handler.event_type.__name__}, but its stack declares "
                f"a {kind} of {event.__name__}; correct the one that is wrong"
            )
            raise StackHandlerMismatch(msg)
        if handler.name.endswith(DEAD_LETTERS):
            msg = f"{handler.handler} is named {handler.name}; rename it: dead-letter queues end in {DEAD_LETTERS}"
            raise StackHandlerMismatch(msg)
        foreign = [c.__name__ for c in handler.emits if c.contract.service != self.service]
        if foreign:
            msg = f"{handler.handler} emits {', '.join(foreign)}; it may emit only events of {self.service}"
            raise StackHandlerMismatch(msg)
        return handler

    def _listener(
        self,
        handler: Consumer[Any],
        tables: Iterable[ServiceTable],
        *,
        environment: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        batch_size: int = 10,
    ) -> Listener:
        contract = handler.event_type.contract
        tables = list(tables)
        listener = Listener(
            self,
            "".join(word.capitalize() for word in handler.name.split("-")),
            stage=self.stage,
            consumer=handler.name,
            bus=self.stage.names.event_bus,
            pattern=events.EventPattern(source=[contract.published_source], detail_type=[contract.type]),
            handler=handler.handler,
            code=self._code,
            layers=self._layers,
            environment={
                CONSUMER: json.dumps(handler.description()),
                **{table_variable(each.name): each.table.table_name for each in tables},
                **(environment or {}),
            },
            timeout=timeout,
            batch_size=batch_size,
        )
        # The function sets the back-off of failed messages.
        listener.function.allow(["sqs:ChangeMessageVisibility"], listener.queue.queue_arn)
        self._backbone.allow_ledger(listener.function, handler.name)
        self._backbone.allow_reading_events(listener.function, handler.event_type)
        self._backbone.allow_proving(listener.function, handler.name)
        if tables:
            allow_key(listener.function, stage=self.stage, data=Data.TABLES, service="dynamodb", actions=DECRYPT)
        if self._dashboard:
            self._dashboard.add_widgets(*listener.widgets())
        return listener

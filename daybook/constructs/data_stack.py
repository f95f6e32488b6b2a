"""The stack of what must outlive the code: the backbone's tables, the keys, the vault of backups and the event bus.

The other stacks find them by name, and can be deleted and deployed again. Only the change streams of store and ledger
have ARNs that nobody can know before: they are exported to the backbone's stack.

The event bus is here and not in the backbone, because EventBridge deletes no bus that has rules, and the rules belong
to the services (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DeleteEventBus.html).
"""

from aws_cdk import CfnOutput, Fn, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from constructs import Construct

from daybook.constructs.backups import create_plan
from daybook.constructs.keys import Data, create_keys, create_proofs_key
from daybook.constructs.senders import consumer_roles, only_from, set_bus_policy
from daybook.constructs.stage import Stage
from daybook.constructs.tables import table
from daybook.runtime import keyring
from daybook.store import event_store, ledger, timers


class DataStack(Stack):
    """Store, ledger, due table, keys and event bus of one stage."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        names = stage.names
        super().__init__(
            scope,
            names.of("data"),
            description=f"Daybook, {stage.name}: data",
            termination_protection=stage.termination_protection,
        )
        create_keys(self, stage=stage)
        create_proofs_key(self, stage=stage)
        create_plan(self, stage=stage)
        bus = events.EventBus(
            self,
            "EventBus",
            event_bus_name=names.event_bus,
            description="All stored events; consumers' rules match them",
        )
        publishers = consumer_roles(self, stage, "publish", "republish")
        set_bus_policy(bus, only_from("events:PutEvents", bus_arn(self, names.event_bus), roles=publishers))
        for construct_id, name, schema, streams in (
            ("Store", names.store, event_store.SCHEMA, True),
            ("Ledger", names.ledger, ledger.SCHEMA, True),
            ("Due", names.due, timers.SCHEMA, False),
            ("Keys", names.keys, keyring.SCHEMA, False),
        ):
            made = table(
                self,
                construct_id,
                stage=stage,
                name=name,
                schema=schema,
                data=Data.EVENTS,
                # Both images: they are the evidence if somebody changes a row, and watch-ledger compares them.
                stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES if streams else None,
            )
            if streams:
                CfnOutput(self, f"{construct_id}Stream", value=str(made.table_stream_arn), export_name=_export(name))


def bus_arn(scope: Construct, name: str) -> str:
    """The ARN of the bus `name`."""
    return Stack.of(scope).format_arn(service="events", resource="event-bus", resource_name=name)


def backbone_table(scope: Construct, name: str) -> dynamodb.ITable:
    """A table of the data stack."""
    return dynamodb.Table.from_table_name(scope, f"Table-{name}", name)


def change_stream(name: str) -> str:
    """The ARN of the change stream of the table `name`, in the backbone's stack."""
    return Fn.import_value(_export(name))


def _export(table_name: str) -> str:
    return f"{table_name}-stream"

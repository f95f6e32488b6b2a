"""The checker's snapshot of the stage `test`."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import boto3

from chaos.checker.snapshot import Snapshot, read
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.runtime.settings import table_variable
from daybook.testing.tables import service_tables
from tests.unit.builders import from_the_bus, recorded
from tests.unit.world import NAMES, Handler, World


def deploy(world: World) -> None:
    """Deploy what the checker finds tables by: the event bus, and a function with all tables in its environment."""
    world.open_bus()
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = boto3.client("iam").create_role(RoleName="role", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("handler.py", "")
    boto3.client("lambda").create_function(
        FunctionName=NAMES.of("everything"),
        Runtime="python3.13",
        Handler="handler",
        Role=role,
        Code={"ZipFile": archive.getvalue()},
        Environment={"Variables": {table_variable(table): NAMES.of(table) for table in service_tables()}},
    )


def happens(world: World, *events: Event) -> list[Envelope]:
    """Record the events, each at the end of its stream."""
    envelopes = []
    for event in events:
        before = world.stream(event.stream)
        envelopes.append(recorded(event, after=before[-1] if before else None))
        world.append(envelopes[-1])
    return envelopes


def hears(world: World, handlers: Mapping[str, Handler], *envelopes: Envelope) -> None:
    """Deliver the events in this order, each to the handler of its type."""
    for envelope in envelopes:
        assert world.deliver(handlers[envelope.metadata.type], from_the_bus(envelope)) == []


def looks() -> Snapshot:
    """The stage's snapshot."""
    client: Any = boto3.client
    return read(client, NAMES.stage)

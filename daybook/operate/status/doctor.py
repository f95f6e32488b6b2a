"""What a person must still do in an account, and whether it is done: no deployment can do it for them."""

from collections.abc import Iterator

from daybook.application import application
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.consumers import consumers
from daybook.operate.setup import Finding, subscribers


def examine(connection: Connection) -> Iterator[Finding]:
    """All that a person must see to, one by one, as it is found. Raises botocore's errors."""
    yield _deployed(connection)
    yield _alarms(connection)
    for service in application().of_services("setup"):
        for check in service.CHECKS:
            yield check(connection)


def _deployed(connection: Connection) -> Finding:
    stage, there = connection.stage, len(consumers(connection))
    found = f"{stage} is deployed, with {there} consumers" if there else f"of {stage}, no consumer is there"
    return Finding("stage", bool(there), found, f"deploy it: npx cdk deploy --all -c stage={stage}")


def _alarms(connection: Connection) -> Finding:
    if connection.stage == LOCAL:
        return Finding("alarms", well=True, found="nobody is told of alarms on this machine")
    name = connection.names.alarms
    how = f"put alarm_email into the context of cdk.json and deploy the backbone, or subscribe to {name}"
    return subscribers(connection, name, "alarms", "told when something is wrong", how)

"""Deploys consumers with event source mappings, and kills commands at a call."""

from collections.abc import Callable
from typing import Any

from daybook.consumers.switch import Switch, Switches
from daybook.runtime.mapping import Mappings
from tests.ops.world import World


def deploy_consumer(world: World, consumer: str, *types: str, kind: str = "effect", ordered: bool = False) -> None:
    """Deploy a consumer of these types, with an enabled mapping."""
    world.listens(consumer, *types)
    world.uses(consumer, kind=kind, event=types[0], ordered=ordered)
    add_mapping(world, consumer)


def deploy_admit(world: World) -> None:
    """Deploy the function admit. Its queue exists."""
    world.uses("admit")
    add_mapping(world, "admit")


def add_mapping(world: World, consumer: str) -> None:
    """Map the consumer's queue to its function."""
    sqs = world.connection.sqs
    url = sqs.get_queue_url(QueueName=world.names.of(consumer))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    world.connection.lambda_.create_event_source_mapping(
        FunctionName=world.names.of(consumer), EventSourceArn=arn, Enabled=True
    )


def mappings(world: World) -> Mappings:
    return Mappings(world.connection.lambda_, world.names)


def states(world: World, consumer: str) -> list[str]:
    """The states of the consumer's mappings."""
    return [mapping.state for mapping in mappings(world).of(consumer)]


def switches(world: World) -> Switches:
    return Switches(world.connection.dynamodb, world.names.ledger)


def switch(world: World, consumer: str) -> Switch:
    return switches(world).find(consumer)


class Killed(BaseException):
    """The command was killed."""


def kill_at_call(world: World, number: int) -> Callable[[], None]:
    """Kill the command before this call of DynamoDB and Lambda, from 1. Returns a function that undoes this."""
    made = 0

    def called(**_: Any) -> None:
        nonlocal made
        made += 1
        if made == number:
            raise Killed

    clients = world.connection.dynamodb, world.connection.lambda_
    for client in clients:
        client.meta.events.register("before-call", called)

    def undo() -> None:
        for client in clients:
            client.meta.events.unregister("before-call", called)

    return undo

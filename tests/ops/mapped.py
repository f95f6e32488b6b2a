"""Consumers as they are deployed, with mappings between queue and function, and what may go wrong while one is told."""

from collections.abc import Callable
from typing import Any

from daybook.consumers.switch import Switch, Switches
from daybook.runtime.mapping import Mappings
from tests.ops.world import World


def deploys(world: World, consumer: str, *types: str, kind: str = "effect", ordered: bool = False) -> None:
    """A consumer of these types is deployed, with a mapping that is on."""
    world.listens(consumer, *types)
    world.uses(consumer, kind=kind, event=types[0], ordered=ordered)
    maps(world, consumer)


def deploys_admit(world: World) -> None:
    """The front door's function, whose queue is there already."""
    world.uses("admit")
    maps(world, "admit")


def maps(world: World, consumer: str) -> None:
    """The consumer's queue is mapped to its function."""
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
    """The command is gone, at this very instruction."""


def kill_at_call(world: World, number: int) -> Callable[[], None]:
    """Have the command end before its call of that number, from 1, of DynamoDB and Lambda. Returns what ends that."""
    made = 0

    def called(**_: Any) -> None:
        nonlocal made
        made += 1
        if made == number:
            raise Killed

    clients = world.connection.dynamodb, world.connection.lambda_
    for client in clients:
        client.meta.events.register("before-call", called)

    def end() -> None:
        for client in clients:
            client.meta.events.unregister("before-call", called)

    return end

"""An ordered consumer continues after a discarded event, even if the operator's command is killed."""

import json

import pytest

from daybook.consumers.failure import NonRetryable
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.discard import DiscardOperation
from daybook.operate.dead_letters.index import named
from daybook.testing.world import NAMES, World
from tests.ops.world import World as Stage
from tests.unit.test_ordered import blocked, failing, following, handled, turns, wake_up

CONSUMER = "follow-dial"


class Killed(BaseException):
    """The process ends at this instruction."""


@pytest.fixture
def operator(world: World) -> Connection:
    """An operator of the stage, in which the consumer and its queue are deployed."""
    assert world.client
    connection = Connection(NAMES.stage)
    stage = Stage(connection, NAMES)
    stage.uses(CONSUMER, kind="reaction", event="DialTurned", ordered=True)
    connection.sqs.create_queue(QueueName=NAMES.of(CONSUMER))
    return connection


def discard(operator: Connection, event: str) -> None:
    list(DiscardOperation(operator, "broken", pause=lambda _: None).run([named(operator, f"{event}@{CONSUMER}")]))


def recorded_bodies(operator: Connection) -> list[str]:
    """A list that grows by the bodies of the messages that SQS has accepted, delayed or not."""
    bodies: list[str] = []

    def note(params: dict[str, bytes], **_: object) -> None:
        bodies.extend(entry["MessageBody"] for entry in json.loads(params["body"])["Entries"])

    operator.sqs.meta.events.register("before-call.sqs.SendMessageBatch", note)
    return bodies


def test_a_blocked_stream_continues_after_the_discarded_event(world: World, operator: Connection) -> None:
    envelopes, _ = blocked(world, at=2, of=4)
    bodies = recorded_bodies(operator)

    discard(operator, envelopes[1].metadata.id)
    for body in bodies:
        world.deliver(following(), body)

    assert handled(world) == [1, 3, 4]


def test_the_stream_continues_if_the_command_is_killed_right_after_the_decision(
    world: World, operator: Connection
) -> None:
    envelopes, _ = blocked(world, at=2, of=4)
    bodies = recorded_bodies(operator)

    def die(**_: object) -> None:
        raise Killed

    operator.dynamodb.meta.events.register("after-call.dynamodb.TransactWriteItems", die)
    with pytest.raises(Killed):
        discard(operator, envelopes[1].metadata.id)
    assert len(bodies) == 1  # a delayed message
    world.deliver(following(), *bodies)

    assert handled(world) == [1, 3, 4]


def test_a_wake_up_message_that_arrives_before_the_decision_changes_nothing(world: World, operator: Connection) -> None:
    envelopes, _ = blocked(world, at=2, of=4)
    bodies = recorded_bodies(operator)
    early: list[int] = []

    def deliver_early(**_: object) -> None:
        world.deliver(following(), *bodies)
        early.extend(handled(world))

    operator.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", deliver_early)
    discard(operator, envelopes[1].metadata.id)
    world.deliver(following(), *bodies[1:])

    assert early == [1]
    assert handled(world) == [1, 3, 4]


def test_an_event_that_is_recorded_during_the_decision_is_handled(world: World, operator: Connection) -> None:
    (only,), _ = blocked(world, at=1, of=1)
    bodies = recorded_bodies(operator)

    def record_another(**_: object) -> None:
        (_first, second) = turns(world, 2)  # the first one exists already
        world.deliver(failing(NonRetryable("no"), at=1), wake_up(second))

    operator.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", record_another)
    discard(operator, only.metadata.id)
    for body in bodies:
        world.deliver(following(), body)

    assert handled(world) == [2]

"""A consumer that keeps order goes on behind what an operator has discarded, also if the operator's command dies."""

import json

import pytest

from daybook.consumers.failure import NonRetryable
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.discard import Discarding
from daybook.operate.dead_letters.index import named
from tests.ops.world import World as Stage
from tests.unit.test_ordered import blocked, failing, following, nudge, order, turns
from tests.unit.world import NAMES, World

CONSUMER = "follow-dial"


class Killed(BaseException):
    """The process is gone, at this very instruction."""


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
    list(Discarding(operator, "broken", pause=lambda _: None).run([named(operator, f"{event}@{CONSUMER}")]))


def recorded_bodies(operator: Connection) -> list[str]:
    """A list that grows by the messages that SQS has taken, delayed or not."""
    bodies: list[str] = []

    def note(params: dict[str, bytes], **_: object) -> None:
        bodies.extend(entry["MessageBody"] for entry in json.loads(params["body"])["Entries"])

    operator.sqs.meta.events.register("before-call.sqs.SendMessageBatch", note)
    return bodies


def test_a_blocked_stream_goes_on_behind_what_was_discarded(world: World, operator: Connection) -> None:
    envelopes, _ = blocked(world, at=2, of=4)
    bodies = recorded_bodies(operator)

    discard(operator, envelopes[1].metadata.id)
    for body in bodies:
        world.deliver(following(), body)

    assert order(world) == [1, 3, 4]


def test_it_goes_on_although_the_command_was_killed_right_after_the_decision(
    world: World, operator: Connection
) -> None:
    envelopes, _ = blocked(world, at=2, of=4)
    bodies = recorded_bodies(operator)

    def die(**_: object) -> None:
        raise Killed

    operator.dynamodb.meta.events.register("after-call.dynamodb.TransactWriteItems", die)
    with pytest.raises(Killed):
        discard(operator, envelopes[1].metadata.id)
    assert len(bodies) == 1  # it comes some seconds later
    world.deliver(following(), *bodies)

    assert order(world) == [1, 3, 4]


def test_a_wake_up_message_that_comes_before_the_decision_changes_nothing(world: World, operator: Connection) -> None:
    envelopes, _ = blocked(world, at=2, of=4)
    bodies = recorded_bodies(operator)
    early: list[int] = []

    def come_early(**_: object) -> None:
        world.deliver(following(), *bodies)
        early.extend(order(world))

    operator.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", come_early)
    discard(operator, envelopes[1].metadata.id)
    world.deliver(following(), *bodies[1:])

    assert early == [1]
    assert order(world) == [1, 3, 4]


def test_what_is_recorded_behind_the_discarded_event_while_it_is_decided_is_not_left(
    world: World, operator: Connection
) -> None:
    (only,), _ = blocked(world, at=1, of=1)
    bodies = recorded_bodies(operator)

    def grow(**_: object) -> None:
        (_first, second) = turns(world, 2)  # the first is there already
        world.deliver(failing(NonRetryable("no"), at=1), nudge(second))

    operator.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", grow)
    discard(operator, only.metadata.id)
    for body in bodies:
        world.deliver(following(), body)

    assert order(world) == [2]

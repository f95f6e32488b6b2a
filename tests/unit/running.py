"""The stage `test` while it runs: during each wait, admit, record-dead-letters and the consumers empty their queues.

So the real functions process what the operator's commands send.
"""

import json
from collections.abc import Callable
from typing import Any

import boto3

from daybook.backbone.admit import Admit
from daybook.consumers.consumer import Consumer
from daybook.contracts.envelope import Envelope
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError
from daybook.store.ledger import DEAD, LedgerEntry
from daybook.testing.world import DEAD_LETTERS, NAMES, REGION, Context, Handler, World
from tests.application.builders import Message
from tests.application.catalogue import CATALOGUE
from tests.ops import world as operators
from tests.unit.dead_letters import record
from tests.unit.faults import Death, die_at_call


class Running:
    """The stage, and an operator's connection to it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._sqs: Any = boto3.client("sqs")
        self._handlers: dict[str, Handler] = {}
        self._run("admit", Admit(CATALOGUE))
        self.deployed = operators.World(connection=self.connection(), names=NAMES)
        self._events: Any = boto3.client("events")
        self._events.create_event_bus(Name=NAMES.event_bus)
        boto3.client("s3").create_bucket(Bucket="bodies", CreateBucketConfiguration={"LocationConstraint": REGION})

    def deploy(self, consumer: Consumer[Any]) -> None:
        """Deploy a consumer with its queue."""
        if consumer.name not in self._handlers:
            self.deployed.uses(consumer.name, **consumer.description())
            pattern = json.dumps({"detail-type": [consumer.event_type.contract.type]})
            self._events.put_rule(Name=NAMES.of(consumer.name), EventBusName=NAMES.event_bus, EventPattern=pattern)
        self._run(consumer.name, consumer)

    def connection(self) -> Connection:
        """The connection of an operator, as in a new process."""
        return Connection(NAMES.stage)

    def pause(self, _: float) -> None:
        """What happens while a command waits: all messages in the queues are processed."""
        self.process_all()

    def process_all(self, most: int | None = None) -> None:
        """Process all messages in the queues, or at most `most` of each. A failed message returns to its queue."""
        for name, handler in self._handlers.items():
            for message in self._take(NAMES.of(name), most):
                again = handler({"Records": [Message(message["Body"]).record()]}, Context())
                for _ in again["batchItemFailures"]:
                    self.put(name, message["Body"])
        for message in self._take(NAMES.dead_letters("consumer")):
            attributes = {name: str(each["StringValue"]) for name, each in message.get("MessageAttributes", {}).items()}
            assert record(message["Body"], of=attributes["consumer"], attributes=attributes) == []

    def put(self, consumer: str, body: str) -> None:
        """Put a message into the consumer's queue."""
        self._sqs.send_message(QueueUrl=self._url(NAMES.of(consumer)), MessageBody=body)

    def receives(self, body: str, consumer: str = "admit") -> None:
        """Put a message into the consumer's queue, and process it and all messages that follow from it."""
        self.put(consumer, body)
        self.process_all()

    def dead(self, consumer: str = "admit") -> list[LedgerEntry]:
        """The ledger's entries of the consumer that are dead."""
        return [
            entry
            for item in self.world.items("ledger")
            if item.get("state") == DEAD
            and item["key"].startswith(f"{consumer}#")
            and (entry := self.world.ledger.find(item["key"].removeprefix(f"{consumer}#"), consumer))
        ]

    def operations(self) -> list[Envelope]:
        """The events that record operations."""
        return [envelope for envelope in self.world.recorded() if envelope.metadata.stream.startswith("operation/")]

    def business_events(self) -> list[Envelope]:
        """All other events."""
        operations = self.operations()
        return [envelope for envelope in self.world.recorded() if envelope not in operations]

    def waiting(self, consumer: str) -> int:
        """The number of messages in the consumer's queue."""
        name = "ApproximateNumberOfMessages"
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url(NAMES.of(consumer)), AttributeNames=[name])
        return int(answer["Attributes"][name])

    def _run(self, name: str, handler: Handler) -> None:
        self._sqs.create_queue(QueueName=NAMES.of(name))
        self._handlers[name] = handler

    def _url(self, queue: str) -> str:
        return DEAD_LETTERS.replace(NAMES.dead_letters("consumer"), queue)

    def _take(self, queue: str, most: int | None = None) -> list[Any]:
        url, taken = self._url(queue), list[Any]()
        while (most is None or len(taken) < most) and (
            messages := self._sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages")
        ):
            taken += messages
            self._sqs.delete_message(QueueUrl=url, ReceiptHandle=messages[0]["ReceiptHandle"])
        return taken


def operation_event(operation: Envelope) -> Any:
    """The event that records an operation."""
    return CATALOGUE[operation.metadata.type].read(operation.data, version=operation.metadata.version)


def dies_at(running: Running, command: Callable[[Connection], object], call: int | str, *, after: bool) -> bool:
    """Run a command whose process ends at one call, and process all messages afterwards. Returns whether it ended."""
    connection = running.connection()
    die_at_call(call, after=after, clients=(connection.dynamodb, connection.sqs))
    try:
        command(connection)
    except Death:
        running.process_all()
        return True
    return False


def error_of(command: Callable[[], object], error: type[OperatorError]) -> str:
    """The message of the error that the command raises."""
    try:
        command()
    except error as raised:
        return str(raised)
    msg = f"{error.__name__} was not raised"
    raise AssertionError(msg)


def body_of(row: LedgerEntry) -> Any:
    """The body of a dead letter, as JSON."""
    return json.loads(row.details["body"])

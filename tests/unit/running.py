"""The stage `test` as it runs: whenever somebody waits, admit, bury and consumers take what lies in their queues.

So operators' commands meet the very functions that decide about what they send.
"""

import json
from collections.abc import Callable
from typing import Any

import boto3

from daybook.backbone import record_dead_letters as bury
from daybook.consumers.consumer import Consumer
from daybook.contracts.envelope import Envelope
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError
from daybook.store.ledger import DEAD, Entry
from events.catalogue import CATALOGUE
from functions.admission import admit
from tests.ops import world as operators
from tests.unit.builders import Message
from tests.unit.faults import Death, die_at_call
from tests.unit.world import DEAD_LETTERS, NAMES, REGION, Context, Handler, World


class Running:
    """The stage, and an operator's connection to it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._sqs: Any = boto3.client("sqs")
        self._handlers: dict[str, Handler] = {}
        self._run("admit", admit.handler)
        self._deployed = operators.World(connection=self.connection(), names=NAMES)
        boto3.client("s3").create_bucket(Bucket="bodies", CreateBucketConfiguration={"LocationConstraint": REGION})

    def deploy(self, consumer: Consumer[Any]) -> None:
        """A consumer is there, with its queue."""
        if consumer.name not in self._handlers:
            self._deployed.uses(consumer.name, **consumer.description())
        self._run(consumer.name, consumer)

    def connection(self) -> Connection:
        """An operator's, of a process of its own."""
        return Connection(NAMES.stage)

    def pause(self, _: float) -> None:
        """What happens while an operator waits: each message that lies in a queue is handled."""
        self.turn()

    def turn(self, most: int | None = None) -> None:
        """Handle all that lies in the queues, or so much of each. What comes again lies there once more."""
        for name, handler in self._handlers.items():
            for message in self._take(NAMES.of(name), most):
                again = handler({"Records": [Message(message["Body"]).record()]}, Context())
                for _ in again["batchItemFailures"]:
                    self.put(name, message["Body"])
        for message in self._take(NAMES.dead_letters("consumer")):
            told = {
                name: {"stringValue": attribute["StringValue"], "dataType": "String"}
                for name, attribute in message.get("MessageAttributes", {}).items()
            }
            queue = NAMES.dead_letters(told["consumer"]["stringValue"])
            record = Message(message["Body"]).record()
            record |= {"messageAttributes": told, "eventSourceARN": f"arn:aws:sqs:{REGION}:123456789012:{queue}"}
            assert bury.handler({"Records": [record]}, Context()) == {"batchItemFailures": []}

    def put(self, consumer: str, body: str) -> None:
        """A message in the consumer's queue."""
        self._sqs.send_message(QueueUrl=self._url(NAMES.of(consumer)), MessageBody=body)

    def arrives(self, body: str, consumer: str = "admit") -> None:
        """A message that is handled at once, with what comes of it."""
        self.put(consumer, body)
        self.turn()

    def dead(self, consumer: str = "admit") -> list[Entry]:
        """What the ledger has as dead at the consumer."""
        return [
            entry
            for item in self.world.items("ledger")
            if item.get("state") == DEAD
            and item["consumer"] == consumer
            and (entry := self.world.ledger.find(item["event"], consumer))
        ]

    def acts(self) -> list[Envelope]:
        """What operators have done, by the store."""
        return [envelope for envelope in self.world.recorded() if envelope.metadata.stream.startswith("operation/")]

    def facts(self) -> list[Envelope]:
        """All other events."""
        acts = self.acts()
        return [envelope for envelope in self.world.recorded() if envelope not in acts]

    def waiting(self, consumer: str) -> int:
        """How many messages lie in the consumer's queue."""
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


def said(act: Envelope) -> Any:
    """What the event of an act says."""
    return CATALOGUE[act.metadata.type].read(act.data, version=act.metadata.version)


def outlives(running: Running, act: Callable[[Connection], object], call: int | str, *, after: bool) -> bool:
    """Act, by a process that dies at one call; meanwhile the stage goes on. Whether it did die."""
    connection = running.connection()
    die_at_call(call, after=after, clients=(connection.dynamodb, connection.sqs))
    try:
        act(connection)
    except Death:
        running.turn()
        return True
    return False


def refuses(act: Callable[[], object], error: type[OperatorError]) -> str:
    """What the operator is told, who may not do that."""
    try:
        act()
    except error as told:
        return str(told)
    msg = f"it was done, in spite of {error.__name__}"
    raise AssertionError(msg)


def body_of(row: Entry) -> Any:
    """The body of a dead letter, as JSON."""
    return json.loads(row.details["body"])

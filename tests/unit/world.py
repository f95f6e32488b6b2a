"""One stage of the system: its tables, its queues, what stands in them. Handlers are called as Lambda does."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import boto3
from moto.backends import get_backend
from mypy_boto3_dynamodb import DynamoDBClient
from mypy_boto3_events import EventBridgeClient
from mypy_boto3_sqs import SQSClient

from daybook.backbone import publish
from daybook.backbone.admit import Admit
from daybook.contracts.catalogue import Catalogue
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.runtime import settings
from daybook.runtime.names import Names
from daybook.runtime.retry import BreakerSettings, Retry
from daybook.store.attributes import unpack_item
from daybook.store.event_store import EventStore, from_item, to_item
from daybook.store.ledger import Entry, Ledger
from daybook.store.state import State, row_table
from events.catalogue import CATALOGUE
from functions.admission import admit
from tests.tables import Definition, backbone_tables, definition, service_tables
from tests.unit.builders import Message, from_the_bus, recorded

R = TypeVar("R", bound=State)

NAMES = Names("test")
REGION = "eu-central-1"
ACCOUNT = "123456789012"  # moto's
DEAD_LETTERS = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{NAMES.dead_letters('consumer')}"

QUEUE = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{NAMES.of('consumer')}"

SENDER = "shop@example.com"
PAGER = f"arn:aws:sns:{REGION}:{ACCOUNT}:{NAMES.of('pager')}"

ENVIRONMENT = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    settings.STAGE: NAMES.stage,
    settings.QUEUE: QUEUE,
    settings.DEAD_LETTERS: DEAD_LETTERS,
    settings.RETRY: Retry(attempts=3, crashes=2, first=30, longest=900, retry_window=3600).to_json(),
    settings.BODIES: "bodies",
    settings.CALL_TIMEOUT: "2",
    settings.BREAKER: BreakerSettings(failures=5, first=60, longest=900).to_json(),
    settings.option_variable("sender"): SENDER,
    settings.option_variable("configuration-set"): NAMES.of("letters"),
    settings.option_variable("pager"): PAGER,
}


def tables() -> list[Definition]:
    """All tables of the stage."""
    return [*backbone_tables(NAMES), *(definition(NAMES.of(name), row_table()) for name in service_tables())]


def environment() -> dict[str, str]:
    """The environment of a function that may use every table."""
    return ENVIRONMENT | {settings.table_variable(name): NAMES.of(name) for name in service_tables()}


Handler = Callable[[Mapping[str, Any], Any], Any]


class Context:
    """Lambda's. It has `seconds` left, and `less` of them each time it is asked: nothing runs for ever."""

    def __init__(self, seconds: float = 30, less: float = 3) -> None:
        self._left = seconds
        self._less = less

    def get_remaining_time_in_millis(self) -> int:
        left, self._left = self._left, self._left - self._less
        return round(left * 1000)


@dataclass(frozen=True)
class DeadLetter:
    """A message in the dead-letter queue."""

    body: str
    attributes: Mapping[str, str]

    @property
    def error(self) -> str:
        return self.attributes["error"]


class _Also(Catalogue):
    """The application's contracts, and some that only tests know."""

    def __init__(self, *events: type[Event]) -> None:
        super().__init__()
        self._contracts = {**CATALOGUE, **{event.__name__: event for event in events}}
        self.foreign = CATALOGUE.foreign


class World:
    """The tables and queues of the stage `test`. It looks at them with clients of its own, which nobody counts."""

    def __init__(self) -> None:
        self._dynamodb, self._sqs, self._events = _dynamodb(), _sqs(), _events()
        self._dead: list[DeadLetter] = []
        self.client = self._dynamodb
        self.store = EventStore(self._dynamodb, NAMES.store)
        self.ledger = Ledger(self._dynamodb, NAMES.ledger)
        self._admit: Handler = admit.handler
        for queue in (NAMES.dead_letters("consumer"), NAMES.of("consumer")):
            get_backend("sqs")[ACCOUNT][REGION].create_queue(queue)  # each test makes them: a call takes longer

    def knows(self, *events: type[Event]) -> None:
        """Admit knows these contracts too."""
        self._admit = Admit(_Also(*events))

    # --- acts -------------------------------------------------------------------------------------------------------

    def deliver(self, handler: Handler, *messages: Message | str, context: Context | None = None) -> list[Message]:
        """Call the handler with one batch. The answer are the messages that come again."""
        batch = [message if isinstance(message, Message) else Message(message) for message in messages]
        answer = handler({"Records": [message.record() for message in batch]}, context or Context())
        again = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        return [message for message in batch if message.id in again]

    def admit(self, *messages: Message | str, context: Context | None = None) -> list[Message]:
        """One batch for admit. The answer are the messages that come again."""
        return self.deliver(self._admit, *messages, context=context)

    def receive(self, handler: Handler, *events: Event, context: Context | None = None) -> list[Envelope]:
        """Deliver the events, each as the first of its stream, in one batch that must succeed."""
        envelopes = [recorded(event) for event in events]
        assert self.deliver(handler, *map(from_the_bus, envelopes), context=context) == []
        return envelopes

    def publish(self, *records: Mapping[str, Any], context: Context | None = None) -> None:
        """One batch of the store's stream for publish."""
        publish.handler({"Records": records}, context or Context())

    def append(self, *envelopes: Envelope) -> None:
        """Put events into the store, as someone else would."""
        for envelope in envelopes:
            self._dynamodb.put_item(TableName=NAMES.store, Item=to_item(envelope))

    def put(self, *rows: State, version: int = 1) -> None:
        """Put rows into their tables, as someone else would."""
        for row in rows:
            self._dynamodb.put_item(TableName=NAMES.of(row.table), Item=row.to_item(version))

    def clear(self, *tables: str) -> None:
        """Take everything out of these tables."""
        for table in tables:
            key = ("event", "consumer") if table == "ledger" else ("id",)
            for item in self._all(NAMES.of(table)):
                self._dynamodb.delete_item(TableName=NAMES.of(table), Key={name: item[name] for name in key})

    def clear_store(self) -> None:
        """Take all events out of the store, as nobody else can."""
        for item in self._all(NAMES.store):
            key = {name: item[name] for name in ("stream", "sequence")}
            self._dynamodb.delete_item(TableName=NAMES.store, Key=key)

    def open_bus(self) -> None:
        """An event bus, of which everything goes into one queue."""
        queue = self._sqs.create_queue(QueueName="listener")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        bus = NAMES.event_bus
        self._events.create_event_bus(Name=bus)
        self._events.put_rule(Name="all", EventBusName=bus, EventPattern='{"source": [{"prefix": ""}]}')
        self._events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])

    # --- what there is afterwards -----------------------------------------------------------------------------------

    def stream(self, stream: str) -> list[Envelope]:
        return list(self.store.stream(stream))

    def events(self, stream: str) -> list[Event]:
        """What the stream says has happened."""
        return [
            CATALOGUE[envelope.metadata.type].read(envelope.data, version=envelope.metadata.version)
            for envelope in self.stream(stream)
        ]

    def recorded(self) -> list[Envelope]:
        """Every event of the store, by stream and sequence."""
        found = [from_item(item) for item in self._all(NAMES.store)]
        return sorted(found, key=lambda envelope: (envelope.metadata.stream, envelope.metadata.sequence))

    def items(self, table: str) -> list[dict[str, Any]]:
        """Every item of a table as it stands, bookkeeping and all, in the order of their ids."""
        found = [unpack_item(item) for item in self._all(NAMES.of(table))]
        return sorted(found, key=lambda item: str(item.get("id", item.get("event"))))

    def row(self, row: type[R], key: str) -> R | None:
        """The row with that key, if there is one."""
        answer = self._dynamodb.get_item(TableName=NAMES.of(row.table), Key={"id": {"S": key}})
        return row.from_item(answer["Item"]) if "Item" in answer else None

    def entries(self, event: Envelope) -> list[Entry]:
        """What became of the event, by the ledger."""
        return self.ledger.of_event(event.metadata.id)

    def dead_letters(self) -> list[DeadLetter]:
        """All messages in the dead-letter queue."""
        for message in self._drain(DEAD_LETTERS):
            attributes = message.get("MessageAttributes", {})
            told = {name: attribute["StringValue"] for name, attribute in attributes.items()}
            self._dead.append(DeadLetter(message["Body"], told))
        return self._dead

    def heard(self) -> list[dict[str, Any]]:
        """What was published on the open bus, as a rule's queue gets it."""
        url = self._sqs.get_queue_url(QueueName="listener")["QueueUrl"]
        return [json.loads(message["Body"]) for message in self._drain(url)]

    def _all(self, table: str) -> list[dict[str, Any]]:
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=table)
        return [item for page in pages for item in page["Items"]]

    def _drain(self, url: str) -> Iterator[Mapping[str, Any]]:
        while messages := self._sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            yield from messages


def errors(letters: Sequence[DeadLetter]) -> list[str]:
    """What kinds of failure the dead letters tell of."""
    return sorted(letter.error for letter in letters)


@cache
def _dynamodb() -> DynamoDBClient:
    return boto3.client("dynamodb")


@cache
def _sqs() -> SQSClient:
    return boto3.client("sqs")


@cache
def _events() -> EventBridgeClient:
    return boto3.client("events")

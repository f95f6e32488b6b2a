"""One stage in memory: its tables and queues, and what is in them. `World` calls handlers as Lambda does.

def test_a_loan_of_a_lent_book_is_declined(world):
    world.put(Book(isbn="978", lent_to="Ada"))

    world.receive(lend_book, LoanRequested(isbn="978", reader="Grace"))

    assert world.events("loan/978") == [LoanDeclined(isbn="978")]
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from daybook.store.journal_shards import JournalShards
from daybook.store.ledger import Ledger, LedgerEntry
from daybook.store.ledger import from_item as ledger_entry
from daybook.store.state import State, row_table
from daybook.testing.messages import BusMessage, Message, from_the_bus, recorded
from daybook.testing.tables import Definition, backbone_tables, definition, service_tables, subclasses

R = TypeVar("R", bound=State)

NAMES = Names("test")
REGION = "eu-central-1"
ACCOUNT = "123456789012"  # moto's
QUEUE = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{NAMES.of('consumer')}"
DEAD_LETTERS = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{NAMES.dead_letters('consumer')}"

ENVIRONMENT = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    settings.STAGE: NAMES.stage,
    settings.QUEUE: QUEUE,
    settings.DEAD_LETTERS: DEAD_LETTERS,
    settings.RETRY: Retry(
        max_attempts=3, max_crashes=2, first_backoff=30, max_backoff=900, retry_window=3600
    ).to_json(),
    settings.BODIES: "bodies",
    settings.ORIGINS: json.dumps({"": f"{ACCOUNT}/{REGION}"}),
    settings.SHARED: "[]",
    settings.CALL_TIMEOUT: "2",
    settings.BREAKER: BreakerSettings(failure_threshold=5, first_open_time=60, max_open_time=900).to_json(),
}

Handler = Callable[[Mapping[str, Any], Any], Any]


def tables() -> list[Definition]:
    """The tables of the stage: the backbone's, and those of all State classes."""
    return [*backbone_tables(NAMES), *(definition(NAMES.of(name), row_table()) for name in service_tables())]


def environment(options: Mapping[str, str]) -> dict[str, str]:
    """The environment of a function that uses all tables and contracts that are imported, and has these options."""
    variables = {settings.table_variable(name): NAMES.of(name) for name in service_tables()}
    variables[settings.TIMERS] = json.dumps(
        [e.contract.type for e in subclasses(Event) if hasattr(e, "contract") and e.contract.timer]
    )
    return ENVIRONMENT | variables | {settings.option_variable(name): value for name, value in options.items()}


class Context:
    """The context that Lambda passes to a function. `seconds` remain, and `less` fewer each time they are read."""

    def __init__(self, seconds: float = 30, less: float = 3) -> None:
        self._left = seconds
        self._less = less

    def get_remaining_time_in_millis(self) -> int:
        """The remaining time, in milliseconds."""
        left, self._left = self._left, self._left - self._less
        return round(left * 1000)


@dataclass(frozen=True)
class DeadLetter:
    """A message in the dead-letter queue."""

    body: str
    attributes: Mapping[str, str]

    @property
    def error(self) -> str:
        """The name of the exception."""
        return self.attributes["error"]


class _Extended(Catalogue):
    """A catalogue and more contracts."""

    def __init__(self, catalogue: Catalogue, events: Sequence[type[Event]]) -> None:
        super().__init__()
        self._contracts = {**catalogue, **{event.contract.type: event for event in events}}
        self.foreign = catalogue.foreign


class World:
    """The stage `test`. It reads tables and queues with clients of its own, so that its calls are not counted.

    `dynamodb`: the client for its tables.
    """

    def __init__(self, catalogue: Catalogue, dynamodb: DynamoDBClient) -> None:
        self._dynamodb = dynamodb
        self._sqs: SQSClient = boto3.client("sqs")
        self._events: EventBridgeClient = boto3.client("events")
        self._dead: list[DeadLetter] = []
        self._delivered: set[str] = set()
        self._catalogue = catalogue
        self._admit: Handler = Admit(catalogue)
        self.client = self._dynamodb
        self.shards = JournalShards(self._dynamodb, NAMES.ledger, NAMES.journal_shards)
        self.store = EventStore(self._dynamodb, NAMES.store, self.shards)
        self.ledger = Ledger(self._dynamodb, NAMES.ledger)
        for queue in (NAMES.dead_letters("consumer"), NAMES.of("consumer")):
            get_backend("sqs")[ACCOUNT][REGION].create_queue(queue)  # each test makes them: a call takes longer

    def knows(self, *events: type[Event]) -> None:
        """Admit accepts these contracts too."""
        self._catalogue = _Extended(self._catalogue, events)
        self._admit = Admit(self._catalogue)

    # --- what happens -----------------------------------------------------------------------------------------------

    def deliver(
        self, handler: Handler, *messages: Message | str, context: Context | None = None, forged: bool = False
    ) -> list[Message]:
        """Call the handler with these messages, as one batch. Returns the messages that SQS delivers again.

        The events of messages `from_the_bus` are recorded first, unless the messages are `forged`.
        """
        batch = [message if isinstance(message, Message) else Message(message) for message in messages]
        records = [(message if forged else self._recorded(message)).record() for message in batch]
        answer = handler({"Records": records}, context or Context())
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        return [message for message in batch if message.id in failed]

    def admit(self, *messages: Message | str, context: Context | None = None) -> list[Message]:
        """Call admit with these messages, as one batch. Returns the messages that SQS delivers again."""
        return self.deliver(self._admit, *messages, context=context)

    def receive(self, handler: Handler, *events: Event, context: Context | None = None) -> list[Envelope]:
        """Deliver the events in one batch, each as the next of its stream. Raises AssertionError if one fails."""
        envelopes = [recorded(event) for event in events]
        if failed := self.deliver(handler, *map(from_the_bus, envelopes), context=context):
            msg = f"the handler did not process {len(failed)} of {len(events)} events; its log says why"
            raise AssertionError(msg)
        return envelopes

    def publish(self, *records: Mapping[str, Any], context: Context | None = None) -> None:
        """Call publish with these records of the store's DynamoDB stream, as one batch."""
        publish.handler({"Records": records}, context or Context())

    def record(self, envelope: Envelope) -> Envelope:
        """Write the event to the store, if it is not there: as the last of its stream if its place is taken.

        `recorded`, `stream` and `events` do not return it: they return what handlers record. Returns the stored event.
        """
        m = envelope.metadata
        stream = {each.metadata.sequence: each for each in self.store.stream(m.stream)}
        if there := next((each for each in stream.values() if each.metadata.id == m.id), None):
            return there
        if m.sequence in stream:
            envelope = replace(envelope, metadata=replace(m, sequence=max(stream) + 1))
        self.append(envelope)
        self._delivered.add(m.id)
        return envelope

    def append(self, *envelopes: Envelope) -> None:
        """Write events to the store, as another function would."""
        for envelope in envelopes:
            self._dynamodb.put_item(TableName=NAMES.store, Item=to_item(envelope))

    def put(self, *rows: State, version: int = 1) -> None:
        """Write rows to their tables, as another function would."""
        for row in rows:
            self._dynamodb.put_item(TableName=NAMES.of(row.table), Item=row.to_item(version))

    def delete(self, row: type[State], key: str) -> None:
        """Delete the row with this key, as an operator would by hand."""
        self._dynamodb.delete_item(TableName=NAMES.of(row.table), Key=row.address(key))

    def clear(self, *tables: str) -> None:
        """Delete all items of these tables."""
        for table in tables:
            key = ("key",) if table == "ledger" else ("id",)
            for item in self._all(NAMES.of(table)):
                self._dynamodb.delete_item(TableName=NAMES.of(table), Key={name: item[name] for name in key})

    def clear_store(self) -> None:
        """Delete all events, which no role of a real stage permits."""
        for item in self._all(NAMES.store):
            key = {name: item[name] for name in ("stream", "sequence")}
            self._dynamodb.delete_item(TableName=NAMES.store, Key=key)

    def open_bus(self) -> None:
        """Create the event bus, with a rule that sends all events to one queue, which `heard` reads."""
        queue = self._sqs.create_queue(QueueName="listener")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        bus = NAMES.event_bus
        self._events.create_event_bus(Name=bus)
        self._events.put_rule(Name="all", EventBusName=bus, EventPattern='{"source": [{"prefix": ""}]}')
        self._events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])

    # --- the result -------------------------------------------------------------------------------------------------

    def stream(self, stream: str) -> list[Envelope]:
        """The events of a stream that `deliver` did not record, with their metadata."""
        return [envelope for envelope in self.store.stream(stream) if envelope.metadata.id not in self._delivered]

    def events(self, stream: str) -> list[Event]:
        """The events of a stream that `deliver` did not record."""
        return [
            self._catalogue[envelope.metadata.type].read(envelope.data, version=envelope.metadata.version)
            for envelope in self.stream(stream)
        ]

    def recorded(self) -> list[Envelope]:
        """All events in the store that `deliver` did not record, by stream and sequence."""
        events = (from_item(item) for item in self._all(NAMES.store))
        found = [envelope for envelope in events if envelope.metadata.id not in self._delivered]
        return sorted(found, key=lambda envelope: (envelope.metadata.stream, envelope.metadata.sequence))

    def items(self, table: str) -> list[dict[str, Any]]:
        """All items of a table with all their attributes, by id."""
        found = [unpack_item(item) for item in self._all(NAMES.of(table))]
        return sorted(found, key=lambda item: str(item.get("id", item.get("key"))))

    def row(self, row: type[R], key: str) -> R | None:
        """The row with this key; None if there is none."""
        answer = self._dynamodb.get_item(TableName=NAMES.of(row.table), Key={"id": {"S": key}})
        return row.from_item(answer["Item"]) if "Item" in answer else None

    def entries(self, event: Envelope) -> list[LedgerEntry]:
        """The ledger's entries for an event: its processing status at each consumer."""
        rows = (item for item in self._all(NAMES.ledger) if item["key"]["S"].partition("#")[2] == event.metadata.id)
        return sorted(map(ledger_entry, rows), key=lambda entry: entry.consumer)

    def dead_letters(self) -> list[DeadLetter]:
        """All messages that were ever in the dead-letter queue."""
        for message in self._drain(DEAD_LETTERS):
            attributes = message.get("MessageAttributes", {})
            values = {name: attribute["StringValue"] for name, attribute in attributes.items()}
            self._dead.append(DeadLetter(message["Body"], values))
        return self._dead

    def heard(self) -> list[dict[str, Any]]:
        """The events on the bus that `open_bus` created, in EventBridge's form. Each is returned once."""
        url = self._sqs.get_queue_url(QueueName="listener")["QueueUrl"]
        return [json.loads(message["Body"]) for message in self._drain(url)]

    def _recorded(self, message: Message) -> Message:
        """The message as publish sends it: its event is in the store."""
        if not isinstance(body := message.body, BusMessage):
            return message
        stored = self.record(body.event)
        moved = stored.pointer != body.event.pointer
        return replace(message, body=from_the_bus(stored, **body.metadata)) if moved else message

    def _all(self, table: str) -> list[dict[str, Any]]:
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=table)
        return [item for page in pages for item in page["Items"]]

    def _drain(self, url: str) -> Iterator[Mapping[str, Any]]:
        # Received messages stay in the queue. They may not become visible again, however slow the machine is.
        request: Any = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 12 * 60 * 60}
        while messages := self._sqs.receive_message(**request, MessageAttributeNames=["All"]).get("Messages"):
            yield from messages


def errors(dead_letters: Sequence[DeadLetter]) -> list[str]:
    """The names of the exceptions of these dead letters, sorted."""
    return sorted(dead_letter.error for dead_letter in dead_letters)

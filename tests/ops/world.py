"""A stage in memory: tables, buses, queues and functions, filled with the kernel's own code."""

import io
import json
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from daybook.consumers.ordered import as_delivered
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.operate.connection import Connection
from daybook.runtime.names import Names
from daybook.runtime.settings import CONSUMER, table_variable
from daybook.store.event_store import Draft, successor, to_item
from daybook.store.ledger import COMMITTED, DEAD, LedgerEntry
from daybook.store.register import BACKBONE, Register
from daybook.store.schema import Index, Schema
from daybook.store.state import KEY
from daybook.testing.keys import writer, writer_of
from daybook.testing.tables import definition
from events.catalogue import CATALOGUE

STAGE = "dev"
_ROWS = Schema(KEY, indexes=(Index("by-ward", "ward", KEY, carries=None),))


@cache
def morning() -> datetime:
    """Half an hour before its first call in a test: the events of the test are recorded after it."""
    return datetime.now(UTC) - timedelta(minutes=30)


def ms(milliseconds: float) -> str:
    """The time this many milliseconds after the morning."""
    return clock.timestamp(morning() + timedelta(milliseconds=milliseconds))


def ago(**time: float) -> float:
    """This time ago, in milliseconds after the morning: `ago(minutes=1)`."""
    return (datetime.now(UTC) - timedelta(**time) - morning()) / timedelta(milliseconds=1)


@dataclass
class World:
    """One stage."""

    connection: Connection = field(default_factory=lambda: Connection(STAGE))
    names: Names = field(default_factory=lambda: Names(STAGE))
    _registered: set[str] = field(default_factory=set)

    def deploy(self) -> None:
        """Create the buses of the backbone, with a queue for the ingress bus."""
        for bus in (self.names.ingress_bus, self.names.event_bus):
            self.connection.eventbridge.create_event_bus(Name=bus)
        self._route("admit", self.names.ingress_bus, {"source": [{"prefix": ""}]})

    def listens(self, consumer: str, *types: str, state: str = "ENABLED") -> None:
        """Deploy a rule and a queue of a consumer of these types."""
        sources = sorted({CATALOGUE[t].contract.published_source for t in types})
        self._route(consumer, self.names.event_bus, {"source": sources, "detail-type": list(types)}, state)

    def registers(self, *consumers: str, types: tuple[str, ...] = ()) -> None:
        """Register consumers that subscribe or did so once, to these types of events or, without types, to any."""
        new = {name: types for name in consumers if name not in {*BACKBONE, *self._registered}}
        if new:
            register = Register(self.connection.dynamodb, self.names.ledger)
            register.update({name: known.types for name, known in register.read().items()} | new)
            self._registered.update(new)

    def recorded(
        self,
        event_type: str,
        stream: str,
        *,
        after: float = 0,
        cause: Envelope | None = None,
        data: str = "{}",
        producer: str = "shop.checkout",
        event_id: str | None = None,
        correlation_id: str | None = None,
        admitted: bool = True,
    ) -> Envelope:
        """Record an event. With a cause, `producer` has emitted it; without, admit has a row for it."""
        head = self.connection.store.head(stream)
        sequence = head.sequence + 1 if head else 1
        contract = CATALOGUE[event_type].contract if event_type in CATALOGUE else None
        draft = Draft(
            id=event_id or f"{event_type}-{stream.replace('/', '-')}-{sequence}",
            type=event_type,
            version=1,
            stream=stream,
            time=ms(after),
            data=data,
            producer=producer,
            source=contract.published_source if contract else "daybook.unknown",
            correlation_id=cause.metadata.correlation_id if cause else correlation_id,
            causation_id=cause.metadata.id if cause else None,
        )
        envelope = successor(draft, head, ms(after), writer_of(CATALOGUE.get(event_type), producer))
        self.connection.dynamodb.put_item(TableName=self.names.store, Item=to_item(envelope))
        if cause is None and admitted:
            self.handled(envelope, "admit", after=after)
        return envelope

    def handled(self, event: Envelope, consumer: str, *emitted: Envelope | str, after: float = 10) -> None:
        """Record that the consumer has committed the event and emitted these."""
        m = event.metadata
        ids = [each if isinstance(each, str) else each.metadata.id for each in emitted]
        entry = LedgerEntry(m.id, consumer, COMMITTED, ms(after), m.stream, m.sequence, ids)
        self.registers(consumer)
        self.writes(entry)

    def writes(self, entry: LedgerEntry) -> None:
        """Write a row of the ledger, which its consumer proves, unless the event is done."""
        part = self.connection.ledger.record(entry, writer(entry.consumer))
        self.connection.dynamodb.transact_write_items(TransactItems=[part])

    def died(
        self,
        event: Envelope | str,
        consumer: str,
        error: str = "KeyError",
        *,
        reason: str = "KeyError at functions/orders/confirm_order.py:21",
        body: str | None = None,
        after: float = 10,
        **details: object,
    ) -> str:
        """Record that the event, or a message with this id, is dead at the consumer. Returns the dead letter's id."""
        about: dict[str, object] = {"error": error, "reason": reason, **details}
        stream, sequence, event_id = "", 0, str(event)
        if isinstance(event, Envelope):
            m = event.metadata
            stream, sequence, event_id = m.stream, m.sequence, m.id
            about |= {"event_type": m.type}
            body = body or as_delivered(event)
        about["body"] = body or "{}"
        self.registers(consumer)
        self.connection.ledger.record_dead(
            LedgerEntry(event_id, consumer, DEAD, ms(after), stream, sequence, details=about)
        )
        return f"{event_id}@{consumer}"

    def uses(self, function: str, *tables: str, suffix: str = "1X2Y3Z", **description: object) -> dict[str, str]:
        """Deploy a function that uses these tables. Returns their generated names.

        Missing tables are created, each with an index `by-ward`. With a `description` (`service`, `kind`, `event`,
        `emits` …) the function is a consumer.
        """
        deployed = {table: f"{self.names.of('service')}-{table}-{suffix}" for table in tables}
        for name in sorted(set(deployed.values()).difference(self.connection.dynamodb.list_tables()["TableNames"])):
            self.connection.dynamodb.create_table(**definition(name, _ROWS))
        environment = {table_variable(table): name for table, name in deployed.items()}
        if description:
            environment[CONSUMER] = json.dumps(
                {"kind": "reaction", "event": "", "emits": [], "ordered": False, **description}
            )
        self.connection.lambda_.create_function(
            FunctionName=self.names.of(function),
            Runtime="python3.13",
            Handler="handler",
            Role=self._role(function),
            Code={"ZipFile": _an_archive()},
            Environment={"Variables": environment},
        )
        return deployed

    def arrived(self, consumer: str = "admit") -> list[dict[str, Any]]:
        """The new messages in the consumer's queue as JSON. The queue of admit has the events of the ingress bus."""
        return [json.loads(body) for body in self.bodies(consumer)]

    def bodies(self, consumer: str) -> list[str]:
        """The new messages in the consumer's queue as text."""
        found: list[str] = []
        url = self.connection.sqs.get_queue_url(QueueName=self.names.of(consumer))["QueueUrl"]
        request: Any = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 12 * 60 * 60}
        while messages := self.connection.sqs.receive_message(**request).get("Messages"):
            found += [message["Body"] for message in messages]
        return found

    def waiting(self, consumer: str) -> int:
        """How many messages lie in the consumer's queue."""
        name = "ApproximateNumberOfMessages"
        url = self.connection.sqs.get_queue_url(QueueName=self.names.of(consumer))["QueueUrl"]
        answer = self.connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def queued(self, consumer: str, *, suffix: str = "") -> None:
        """Put a message into a queue."""
        url = self.connection.sqs.create_queue(QueueName=self.names.of(consumer) + suffix)["QueueUrl"]
        self.connection.sqs.send_message(QueueUrl=url, MessageBody="{}")

    def _role(self, function: str) -> str:
        """Create a role for the function."""
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = self.connection.client("iam").create_role(RoleName=function, AssumeRolePolicyDocument=policy)
        return str(role["Role"]["Arn"])

    def _route(self, consumer: str, bus: str, pattern: dict[str, Any], state: str = "ENABLED") -> None:
        name = self.names.of(consumer)
        queue = self.connection.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.connection.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
        events = self.connection.eventbridge
        events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern), State=state)
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])


def an_order(order: str = "1001", **changes: object) -> dict[str, Any]:
    """A PutEvents entry of an order."""
    data = {
        "order_id": order,
        "customer": {"name": "Ada Lovelace", "email": "ada@example.com"},
        "lines": [{"sku": "mug", "quantity": 2, "price": {"amount": 1250, "currency": "EUR"}}],
    }
    return {"Source": "shop.checkout", "DetailType": "OrderPlaced", "Detail": {"data": data}, **changes}


def _an_archive() -> bytes:
    """A code archive that Lambda accepts."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("handler.py", "")
    return archive.getvalue()

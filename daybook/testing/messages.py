"""Events as the store records them, and the messages that carry them. Everything that a test does not name is valid."""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.store.attributes import as_json, pack
from daybook.store.event_store import Draft, Head, successor, to_item
from daybook.testing.keys import writer_of

E = TypeVar("E", bound=Event)

NOON = "2026-03-01T12:00:00.000000Z"
# The producer of events whose contract allows no external source.
PRODUCER = "test-producer"

_ENVELOPE = {
    "version": "0",
    "account": "123456789012",
    "time": "2026-03-01T12:00:00Z",
    "region": "eu-central-1",
    "resources": list[str](),
}


class BusMessage(str):
    """The body of a message in a consumer's queue. `event` is its event, `metadata` was replaced in its pointer."""

    __slots__ = ("event", "metadata")
    event: Envelope
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """An SQS message. `tries` is the number of times that SQS has delivered it, `age` is in seconds."""

    body: str
    tries: int = 1
    age: float = 0
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def record(self) -> dict[str, Any]:
        """The message as an element of `Records` in Lambda's event."""
        return {
            "messageId": self.id,
            "body": self.body,
            "receiptHandle": self.id,
            "attributes": {
                "ApproximateReceiveCount": str(self.tries),
                "SentTimestamp": str(int((time.time() - self.age) * 1000)),
            },
            "eventSource": "aws:sqs",
        }


def an_example(event: type[E], **changes: Any) -> E:
    """The example of a contract, with other values in some fields. Raises pydantic's ValidationError."""
    return event.model_validate({**event.example, **changes})


def a_draft(event: Event, **fields: Any) -> Draft:
    """The event before it is appended to the store. `fields` replace fields of the draft."""
    usual: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "type": event.contract.type,
        "version": event.contract.version,
        "stream": event.stream,
        "time": NOON,
        "data": event.to_json(),
        "producer": _producer(event.contract.sources),
        "source": event.contract.published_source,
    }
    return Draft(**(usual | fields))


def recorded(event: Event, *, after: Envelope | None = None, now: str | None = None, **fields: Any) -> Envelope:
    """The event as the store records it: first in its stream, or next after `after`. `now` is the time of recording."""
    draft = a_draft(event, **fields)
    return successor(
        draft, Head.at(after) if after else None, now or clock.now(), writer_of(type(event), draft.producer)
    )


def from_the_bus(envelope: Envelope, **metadata: Any) -> BusMessage:
    """The body of the message about this event in a consumer's queue. `metadata` replaces fields of the pointer."""
    detail = json.loads(envelope.detail)
    detail["metadata"] |= metadata
    made = BusMessage(_body(envelope.source, envelope.metadata.type, detail=detail))
    made.event, made.metadata = envelope, metadata
    return made


def sent(event: Event, *, source: str = "", metadata: object = None, **envelope: Any) -> str:
    """The body of the message in admit's queue when a producer has sent this event.

    `source` is the producer, by default the first that the contract allows. `metadata` is what the producer sends with
    the data. `envelope` replaces fields of EventBridge's envelope.
    """
    source = source or _producer(event.contract.sources)
    return sent_data(event.contract.type, json.loads(event.to_json()), source=source, metadata=metadata, **envelope)


def sent_data(event_type: str, data: object, *, source: str, metadata: object = None, **envelope: Any) -> str:
    """The same for data that may violate the contract, or have none."""
    detail = {"data": data} | ({} if metadata is None else {"metadata": metadata})
    return _body(source, event_type, **({"detail": detail} | envelope))


def a_change_of_the_store(envelope: Envelope, name: str = "INSERT", **attributes: object) -> dict[str, Any]:
    """A record of the store's DynamoDB stream. `attributes` replace attributes of the item; None removes one."""
    image: dict[str, Any] = json.loads(as_json(to_item(envelope)))
    for attribute, value in attributes.items():
        image[attribute] = json.loads(as_json(pack(value)))
        if value is None:
            del image[attribute]
    return {"eventID": str(uuid.uuid4()), "eventName": name, "dynamodb": {"NewImage": image}}


def metadata_of(envelope: Envelope) -> dict[str, Any]:
    """The event's metadata as JSON values."""
    return asdict(envelope.metadata)


def _producer(sources: tuple[str, ...]) -> str:
    return sources[0] if sources else PRODUCER


def _body(source: str, event_type: str, **envelope: Any) -> str:
    return json.dumps({**_ENVELOPE, "id": str(uuid.uuid4()), "source": source, "detail-type": event_type, **envelope})

"""A recorded event: its metadata, its data, its link in the hash chain of its stream, and the proof of its writer.

On the ingress bus the `detail` is {"metadata": {…}, "data": {…}}. On the event bus it is {"metadata": {…}}, a pointer
to the event in the store: consumers read the event from there. Only events of contracts with `shared=True` also carry
their data.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.identity import is_event_id
from daybook.contracts.proof import Writer

# EventBridge bills each 64 KiB as one event (https://aws.amazon.com/eventbridge/pricing/).
MAX_EVENT_BYTES = 65_536
# EventBridge counts 14 bytes for the time of an entry.
_TIME_BYTES = 14

# Characters of each text in the metadata. The longest are stream names, with less than half of this.
MAX_TEXT_LENGTH = 512
# The limit of versions and sequences. DynamoDB (38 digits) and JSON readers represent such numbers exactly.
MAX_NUMBER = 10**15

# The predecessor's hash in the first event of a stream.
GENESIS = bytes(32)


class EventTooLarge(ValueError):
    """An event is larger than MAX_EVENT_BYTES. Store large content elsewhere and refer to it in the event."""


class NotAnEnvelope(ValueError):
    """The text is not the JSON of a pointer to an event, or the values are not the metadata of one."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where an event is in the store (stream and sequence), and the metadata by which it is recognized there."""

    id: str
    type: str
    version: int
    stream: str
    sequence: int
    correlation_id: str  # the id of the correlation's first event


@dataclass(frozen=True, slots=True)
class Metadata(Pointer):
    """The metadata of an event. Times are RFC 3339 in UTC with microseconds."""

    time: str  # when it happened, according to the producer
    recorded_at: str  # when it was stored; never earlier than its predecessor in the stream
    causation_id: str | None  # the id of the event that caused this one
    producer: str  # the external source that sent it, or the consumer that emitted it


_POINTER = tuple(field.name for field in fields(Pointer))
_METADATA = tuple(field.name for field in fields(Metadata))


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event as it is stored.

    `source` is the owning service's name on the event bus. `in_correlation_index`: the event begins a run of events of
    its correlation in its stream, so that readers find the run by the index. `previous` and `hash` are SHA-256.
    `writer` has recorded the event, and `proof` is its HMAC of the hash.
    """

    metadata: Metadata
    data: str
    source: str
    in_correlation_index: bool
    previous: bytes
    hash: bytes
    writer: str
    proof: bytes

    @classmethod
    def proven(
        cls, metadata: Metadata, data: str, *, source: str, in_correlation_index: bool, previous: bytes, writer: Writer
    ) -> Self:
        """The envelope with its hash and its proof. Raises EventTooLarge."""
        own = digest(metadata, data, source, previous, writer.name)
        made = cls(metadata, data, source, in_correlation_index, previous, own, writer.name, writer.prove(own))
        if made.size > MAX_EVENT_BYTES:
            msg = f"the event has {made.size} bytes as an EventBridge entry; the limit is {MAX_EVENT_BYTES}"
            raise EventTooLarge(msg)
        return made

    @property
    def is_unchanged(self) -> bool:
        """Whether the hash matches the content."""
        return self.hash == digest(self.metadata, self.data, self.source, self.previous, self.writer)

    @property
    def size(self) -> int:
        """The size in bytes of the event on the event bus with its data, as EventBridge counts it."""
        return _TIME_BYTES + len(self.source) + len(self.metadata.type) + len(self.shared_detail.encode())

    @property
    def pointer(self) -> Pointer:
        """The pointer to the event."""
        return Pointer(**as_dict(self.metadata, _POINTER))

    @property
    def detail(self) -> str:
        """The `detail` of the event on the event bus, as JSON text: the pointer to the event."""
        return f'{{"metadata":{canonical(as_dict(self.metadata, _POINTER))}}}'

    @property
    def shared_detail(self) -> str:
        """The `detail` of an event whose contract is shared: the pointer, and the data as they are stored."""
        return f'{self.detail[:-1]},"data":{self.data}}}'


def read_pointer(detail: Mapping[str, Any]) -> Pointer:
    """The pointer in a `detail` from the event bus. Raises NotAnEnvelope."""
    try:
        return Pointer(**_checked(detail["metadata"], _POINTER))
    except (KeyError, TypeError) as error:
        msg = "the detail must have metadata"
        raise NotAnEnvelope(msg) from error


def read_metadata(values: Mapping[str, Any]) -> Metadata:
    """The metadata in `values`, with their types checked. Raises NotAnEnvelope."""
    metadata = Metadata(**_checked(values, _METADATA))
    for name in ("time", "recorded_at"):
        try:
            clock.moment(getattr(metadata, name))
        except ValueError as error:
            msg = f"metadata.{name} must be an RFC 3339 time with a time zone"
            raise NotAnEnvelope(msg) from error
    return metadata


def _checked(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The metadata with these names in `values`. Raises NotAnEnvelope."""
    try:
        known = {name: values[name] for name in names}
    except (KeyError, TypeError) as error:
        msg = f"the metadata must have the fields {', '.join(names)}"
        raise NotAnEnvelope(msg) from error
    for name, value in known.items():
        if name in {"version", "sequence"}:
            if type(value) is not int or not 0 < value < MAX_NUMBER:
                msg = f"metadata.{name} must be an integer from 1 to {MAX_NUMBER - 1}"
                raise NotAnEnvelope(msg)
        elif (name != "causation_id" or value is not None) and not 0 < len(
            _text(f"metadata.{name}", value)
        ) <= MAX_TEXT_LENGTH:
            msg = f"metadata.{name} must be a string of 1 to {MAX_TEXT_LENGTH} characters"
            raise NotAnEnvelope(msg)
    if not is_event_id(known["id"]):
        msg = "metadata.id is not a valid event id"
        raise NotAnEnvelope(msg)
    return known


def _text(name: str, value: object) -> str:
    """The value, if it is a string that UTF-8 can encode. Raises NotAnEnvelope."""
    try:
        if isinstance(value, str):
            value.encode()
            return value
    except UnicodeEncodeError:
        pass
    msg = f"{name} must be a string of valid Unicode"
    raise NotAnEnvelope(msg)


def digest(metadata: Metadata, data: str, source: str, previous: bytes, writer: str) -> bytes:
    """SHA-256 over the whole event with its predecessor's hash and its writer, in canonical form."""
    content = {"metadata": as_dict(metadata), "data": data, "source": source, "writer": writer}
    return hashlib.sha256(canonical({**content, "previous": previous.hex()}).encode()).digest()


def as_dict(metadata: Pointer, names: Sequence[str] = _METADATA) -> dict[str, Any]:
    """These fields of the metadata, by default all, by name."""
    return {name: getattr(metadata, name) for name in names}


def canonical(value: object) -> str:
    """JSON in the canonical form of RFC 8785, of objects with ASCII keys, texts, integers up to MAX_NUMBER and null."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

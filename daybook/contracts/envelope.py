"""A recorded event: its metadata, its data, and its link in the chain of hashes.

On both buses the `detail` is {"metadata": {…}, "data": {…}}. The data travel as the JSON text that was stored, so that
what a listener reads is to the letter what the hash covers.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.identity import is_event_id

# 64 KiB: what EventBridge bills as one event (https://aws.amazon.com/eventbridge/pricing/).
MAX_EVENT_BYTES = 65_536
# EventBridge counts 14 bytes for the time of an entry.
_TIME_BYTES = 14

# Characters of each of the metadata. Streams are the longest of them, and stay below half of it.
LONGEST_TEXT = 512
# Nor is any version or sequence larger, which DynamoDB, with its 38 digits, and JSON readers keep exactly.
LARGEST_NUMBER = 10**15

# What the first event of a stream names as its predecessor's hash.
GENESIS = "0" * 64


class EventTooLarge(ValueError):
    """An event is larger than 64 KiB. Put large content elsewhere and let the event name it."""


class NotAnEnvelope(ValueError):
    """The text is not the JSON of a recorded event: it did not come from this system's event bus."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known about an event beside its data. Times are RFC 3339 in UTC with microseconds."""

    id: str
    type: str
    version: int
    stream: str
    sequence: int
    time: str  # when it happened, by the producer's word
    recorded_at: str  # when it was stored; never before its predecessor
    correlation_id: str  # the first event of the story
    causation_id: str | None  # the event that caused this one
    producer: str  # who said so: a source outside, or the consumer that emitted it


_METADATA = tuple(field.name for field in fields(Metadata))


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event as it is kept.

    `source` is the owner's name on the event bus. `story` says that the event stands outside of the stream where its
    story began, and so in the index of stories. `previous` and `hash` are SHA-256 in hexadecimal.
    """

    metadata: Metadata
    data: str
    source: str
    story: bool
    previous: str
    hash: str

    @classmethod
    def sealed(cls, metadata: Metadata, data: str, *, source: str, story: bool, previous: str) -> Self:
        """The envelope with its hash. Raises EventTooLarge."""
        made = cls(metadata, data, source, story, previous, digest(metadata, data, source, previous))
        if made.size > MAX_EVENT_BYTES:
            msg = f"the event has {made.size} bytes as an EventBridge entry; {MAX_EVENT_BYTES} are the limit"
            raise EventTooLarge(msg)
        return made

    @property
    def size(self) -> int:
        """Bytes, as EventBridge counts them."""
        return _TIME_BYTES + len(self.source) + len(self.metadata.type) + len(self.detail.encode())

    @property
    def detail(self) -> str:
        """The `detail` that the event bus carries."""
        return f'{{"metadata":{_canonical(_as_dict(self.metadata))},"data":{self.data}}}'


def read_detail(detail: Mapping[str, Any]) -> tuple[Metadata, str]:
    """Metadata, and the data as JSON text, of a `detail` from the event bus. Raises NotAnEnvelope."""
    try:
        metadata = read_metadata(detail["metadata"])
        data = json.dumps(detail["data"], ensure_ascii=False, separators=(",", ":"))
    except (KeyError, TypeError) as error:
        msg = "the detail lacks part of {metadata, data}"
        raise NotAnEnvelope(msg) from error
    return metadata, _text("data", data)


def read_metadata(values: Mapping[str, Any]) -> Metadata:
    """The metadata among `values`, each of its type. Raises NotAnEnvelope."""
    try:
        known = {name: values[name] for name in _METADATA}
    except (KeyError, TypeError) as error:
        msg = "the metadata lack a part"
        raise NotAnEnvelope(msg) from error
    for name, value in known.items():
        if name in {"version", "sequence"}:
            if type(value) is not int or not 0 < value < LARGEST_NUMBER:
                msg = f"metadata.{name} is not a whole number from 1"
                raise NotAnEnvelope(msg)
        elif (name != "causation_id" or value is not None) and not 0 < len(
            _text(f"metadata.{name}", value)
        ) <= LONGEST_TEXT:
            msg = f"metadata.{name} is not a text of 1 to {LONGEST_TEXT} characters"
            raise NotAnEnvelope(msg)
    if not is_event_id(known["id"]):
        msg = "metadata.id cannot be the id of an event"
        raise NotAnEnvelope(msg)
    for name in ("time", "recorded_at"):
        try:
            clock.moment(known[name])
        except ValueError as error:
            msg = f"metadata.{name} is not a time"
            raise NotAnEnvelope(msg) from error
    return Metadata(**known)


def _text(name: str, value: object) -> str:
    """The value, if it is a text that can be written as UTF-8. Raises NotAnEnvelope."""
    try:
        if isinstance(value, str):
            value.encode()
            return value
    except UnicodeEncodeError:
        pass
    msg = f"{name} is not a text"
    raise NotAnEnvelope(msg)


def digest(metadata: Metadata, data: str, source: str, previous: str) -> str:
    """SHA-256 over the predecessor's hash and all of the event, as canonical JSON (sorted keys, no spaces, UTF-8)."""
    text = _canonical({"previous": previous, "source": source, "metadata": _as_dict(metadata), "data": data})
    return hashlib.sha256(text.encode()).hexdigest()


def _as_dict(metadata: Metadata) -> dict[str, object]:
    return {name: getattr(metadata, name) for name in _METADATA}


def _canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

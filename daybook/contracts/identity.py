"""Deterministic ids: the same input always gives the same id, so that duplicates are recognised."""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

# Other rows of the ledger's table have keys with a #, or the key `switch`. No event id may look like one of them.
_EVENT_ID = re.compile(r"(?!switch\Z)[!-\"$-~]{1,256}")

# Characters of a correlation or causation id that a producer gives.
MAX_REFERENCE_LENGTH: Final = 64
# UUIDs, and what other systems use as ids. These are in keys and logs.
_REFERENCE = re.compile(rf"[A-Za-z0-9_.:-]{{1,{MAX_REFERENCE_LENGTH}}}")


def key_part(value: object) -> str:
    """The value as a part of a key or of a stream's name: percent-encoded (RFC 3986), except for the colon.

    Two values never give the same text, and none contains a slash, a hash or a space: `#1001` is `%231001`.
    """
    return quote(str(value), safe=":")


def filled_key(template: str, fields: Mapping[str, object]) -> str:
    """The template with fields in it: `charge/1001` for `charge/{order_id}`. Each value is a `key_part`."""
    return template.format(**{name: key_part(value) for name, value in fields.items()})


def stream_name(given: str) -> str:
    """The name of the stream that a person means: `order/%231001` for `order/#1001`. Encoded names stay as they are."""
    kind, slash, value = given.partition("/")
    return f"{kind}{slash}{quote(value, safe=':%')}"


def is_event_id(value: object) -> bool:
    """Whether the value can be an event id: 1 to 256 printable ASCII characters, without #, and not `switch`."""
    return isinstance(value, str) and _EVENT_ID.fullmatch(value) is not None


def is_reference(value: str) -> bool:
    """Whether a producer may use the value as a correlation or causation id: 1 to 64 of A-Z a-z 0-9 - _ . :"""
    return _REFERENCE.fullmatch(value) is not None


def admitted_id(account: str, source: str, producer_id: str) -> str:
    """The id of an event from an external producer. A retry by the producer gives the same id.

    `producer_id` is the producer's own id of the event or, without one, the id in EventBridge's envelope.
    """
    return _uuid("admitted", account, source, producer_id)


def emitted_id(causation_id: str, consumer: str, event_type: str, ordinal: int) -> str:
    """The id of the `ordinal`th event of this type that `consumer` emits for one event. A rerun gives the same id."""
    return _uuid("emitted", causation_id, consumer, event_type, str(ordinal))


def content_hash(event_type: str, version: int, data: str) -> str:
    """SHA-256 of an event's content, in hexadecimal. `data` is JSON text; the order of its keys does not matter."""
    ordered = json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{event_type} {version} {ordered}".encode()).hexdigest()


def _uuid(*parts: str) -> str:
    # JSON separates the parts: ("a", "b c") and ("a b", "c") differ. UUID version 8 is for custom schemes (RFC 9562).
    digest = bytearray(hashlib.sha256(json.dumps(parts).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))

"""Ids that come out the same however often they are worked out, so that a repetition is recognised."""

import hashlib
import json
import re
import uuid

# The ledger's rows of other things have keys with a # in them, or the key `switch`: no event may be taken for one.
_EVENT_ID = re.compile(r"(?!switch\Z)[!-\"$-~]{1,256}")


def is_event_id(value: object) -> bool:
    """Whether it can be an event's id: a text of 1 to 256 characters of printable ASCII, and no key of other rows."""
    return isinstance(value, str) and _EVENT_ID.fullmatch(value) is not None


def admitted_id(account: str, source: str, producer_id: str) -> str:
    """The id of an event from outside: its producer's retry gives the same.

    `producer_id` is the producer's own id or, without one, that of EventBridge's envelope.
    """
    return _uuid("admitted", account, source, producer_id)


def emitted_id(causation_id: str, consumer: str, event_type: str, ordinal: int) -> str:
    """The id of an event that `consumer` emits as its `ordinal`th of that type. Run again, a body gives the same."""
    return _uuid("emitted", causation_id, consumer, event_type, str(ordinal))


def content_hash(event_type: str, version: int, data: str) -> str:
    """SHA-256 of what an event says, in hexadecimal. `data` is JSON text; the order of its keys does not matter."""
    ordered = json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{event_type} {version} {ordered}".encode()).hexdigest()


def _uuid(*parts: str) -> str:
    # JSON keeps the parts apart: ("a", "b c") and ("a b", "c") differ. RFC 9562 leaves version 8 to such schemes.
    digest = bytearray(hashlib.sha256(json.dumps(parts).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))

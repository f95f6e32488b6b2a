"""Events to send, as EventBridge's PutEvents takes them: read from JSON, and held against their contracts."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from daybook.application import catalogue
from daybook.contracts import clock
from daybook.contracts.contract import ContractBroken, Event, UnknownVersion
from daybook.contracts.envelope import MAX_EVENT_BYTES
from daybook.operate.errors import OperatorError

_REQUIRED = ("Source", "DetailType", "Detail")
_OPTIONAL = ("Time", "Resources", "TraceHeader", "EventBusName")
# EventBridge counts 14 bytes for the time of an entry.
_TIME_BYTES = 14


class NotSendable(OperatorError):
    """What should be sent is not JSON, or not of a shape that PutEvents takes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event to send. `detail` is JSON text; `options` are PutEvents' other fields, without the bus."""

    number: int  # its place among all that are sent, from 1
    source: str
    type: str
    detail: str
    options: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes, as EventBridge counts them."""
        return _TIME_BYTES + len(self.source.encode()) + len(self.type.encode()) + len(self.detail.encode())

    @property
    def producer_id(self) -> str | None:
        """The event's id by its producer's own word, which makes a repetition of it known."""
        detail = _object(self.detail) or {}
        event = catalogue().get(self.type)
        if event and (name := event.contract.name(detail.get("data"))):
            return name
        metadata = detail.get("metadata")
        given = metadata.get("id") if isinstance(metadata, dict) else None
        return given if isinstance(given, str) and given else None


def read_entries(text: str) -> list[Entry]:
    """The entries in JSON text: one, a list of them, or such a list as `entries` or `Entries`. Raises NotSendable."""
    try:
        value = json_in(text)
    except ValueError as error:
        msg = f"this is not JSON: {error}"
        raise NotSendable(msg) from error
    if isinstance(value, dict):
        value = next((value[name] for name in ("entries", "Entries") if name in value), [value])
    if not isinstance(value, list) or not value:
        raise NotSendable('there are no events in it; give one entry, a list of entries, or {"entries": [...]}')
    return [_entry(number, given) for number, given in enumerate(value, 1)]


def json_in(text: str) -> Any:
    """The value in JSON text, if a store can hold it: with valid Unicode and finite numbers. Raises ValueError."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a text in it is not valid Unicode") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def problem(entry: Entry) -> str | None:
    """Why admit would refuse the entry, as far as that can be said without the store."""
    event_class = catalogue().get(entry.type)
    if event_class is None:
        return f"no contract is named {entry.type!r}{closest(entry.type)}"
    contract = event_class.contract
    if entry.source not in contract.sources:
        allowed = ", ".join(contract.sources) or "nobody outside"
        return f"{entry.source!r} may not send {entry.type}; this may: {allowed}"
    if entry.size > MAX_EVENT_BYTES:
        return f"it has {entry.size} bytes; {MAX_EVENT_BYTES} are the limit"
    return _broken(entry, event_class)


def closest(event_type: str) -> str:
    """`; did you mean OrderPlaced?` for a type that is not known, or where to look."""
    by_name = {name.lower(): name for name in catalogue()}
    near = difflib.get_close_matches(event_type.lower(), by_name, n=1, cutoff=0.5)
    return f"; did you mean {by_name[near[0]]}?" if near else f"; there are {', '.join(sorted(catalogue()))}"


def _broken(entry: Entry, event_class: type[Event]) -> str | None:
    detail = _object(entry.detail) or {}
    metadata = detail.get("metadata") or {}
    if "data" not in detail or not isinstance(metadata, dict):
        return 'its Detail is not {"data": {…}}, optionally with "metadata": {…}'
    version = metadata.get("version", 1)
    if type(version) is not int:
        return "its metadata.version is not a whole number"
    try:
        event_class.read(json.dumps(detail["data"]), version=version)
    except (ContractBroken, UnknownVersion) as error:
        return str(error)
    return None


def _entry(number: int, given: object) -> Entry:
    if not isinstance(given, dict):
        raise _not_sendable(number, "is not an object with Source, DetailType and Detail")
    if unknown := sorted(set(given).difference(_REQUIRED, _OPTIONAL)):
        raise _not_sendable(number, f"has a field {unknown[0]!r}; an entry has {', '.join(_REQUIRED)}")
    for name in _REQUIRED:
        if not given.get(name):
            raise _not_sendable(number, f"has no {name}")
    source, event_type, detail = (given[name] for name in _REQUIRED)
    text = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
    if not isinstance(source, str) or not isinstance(event_type, str) or _object(text) is None:
        raise _not_sendable(number, "needs text as Source and DetailType, and a JSON object as Detail")
    options = {name: given[name] for name in ("Resources", "TraceHeader") if given.get(name)}
    if given.get("Time") is not None:
        options["Time"] = _time(number, given["Time"])
    return Entry(number, source, event_type, text, options)


def _time(number: int, given: object) -> datetime:
    try:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return datetime.fromtimestamp(given, UTC)
        return clock.moment(str(given))
    except (ValueError, OverflowError, OSError):
        what = "has a Time that is neither like 2026-03-01T09:30:00Z nor seconds since 1970"
        raise _not_sendable(number, what) from None


def _not_sendable(number: int, what: str) -> NotSendable:
    return NotSendable(f"event {number} {what}")


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

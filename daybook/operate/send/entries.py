"""Reads entries of EventBridge's PutEvents from JSON, and checks them against their contracts."""

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


class InvalidEntries(OperatorError):
    """The text is not JSON, or not in the form of PutEvents."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event to send. `detail` is JSON text; `options` are the other fields of PutEvents, without the bus."""

    number: int  # its number in the file, from 1
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
        """The id that the producer has given the event, if any. It identifies duplicates."""
        detail = _object(self.detail) or {}
        event = catalogue().get(self.type)
        if event and (name := event.contract.producer_id(detail.get("data"))):
            return name
        metadata = detail.get("metadata")
        given = metadata.get("id") if isinstance(metadata, dict) else None
        return given if isinstance(given, str) and given else None


def read_entries(text: str) -> list[Entry]:
    """The entries in JSON text: one entry, a list, or a list under `entries` or `Entries`. Raises InvalidEntries."""
    try:
        value = json_in(text)
    except ValueError as error:
        raise InvalidEntries(f"the text is not JSON: {error}") from error
    if isinstance(value, dict):
        value = next((value[name] for name in ("entries", "Entries") if name in value), [value])
    if not isinstance(value, list) or not value:
        raise InvalidEntries('the text has no events; expected one entry, a list of entries, or {"entries": [...]}')
    return [_entry(number, given) for number, given in enumerate(value, 1)]


def json_in(text: str) -> Any:
    """The value in JSON text, with valid Unicode and finite numbers only. Raises ValueError."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a text in it is not valid Unicode") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def problem(entry: Entry) -> str | None:
    """The reason why admit would reject the entry, as far as it is known without the store; None if it is valid."""
    event_class = catalogue().get(entry.type)
    if event_class is None:
        return f"there is no contract {entry.type!r}{closest(entry.type)}"
    contract = event_class.contract
    if entry.source not in contract.sources:
        allowed = ", ".join(contract.sources) or "no source"
        return f"{entry.source!r} may not send {entry.type}; allowed sources: {allowed}"
    if entry.size > MAX_EVENT_BYTES:
        return f"it has {entry.size} bytes; the limit is {MAX_EVENT_BYTES}"
    return _broken(entry, event_class)


def closest(event_type: str) -> str:
    """`; did you mean OrderPlaced?` for an unknown type, or the list of types."""
    by_name = {name.lower(): name for name in catalogue()}
    near = difflib.get_close_matches(event_type.lower(), by_name, n=1, cutoff=0.5)
    return f"; did you mean {by_name[near[0]]}?" if near else f"; known types: {', '.join(sorted(catalogue()))}"


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
        raise _invalid(number, "is not an object with Source, DetailType and Detail")
    if unknown := sorted(set(given).difference(_REQUIRED, _OPTIONAL)):
        raise _invalid(number, f"has the unknown field {unknown[0]!r}; required fields are {', '.join(_REQUIRED)}")
    for name in _REQUIRED:
        if not given.get(name):
            raise _invalid(number, f"has no {name}")
    source, event_type, detail = (given[name] for name in _REQUIRED)
    text = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
    if not isinstance(source, str) or not isinstance(event_type, str) or _object(text) is None:
        raise _invalid(number, "must have strings as Source and DetailType, and a JSON object as Detail")
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
        what = "has a Time that has neither the form 2026-03-01T09:30:00Z nor is in seconds since 1970"
        raise _invalid(number, what) from None


def _invalid(number: int, what: str) -> InvalidEntries:
    return InvalidEntries(f"event {number} {what}")


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

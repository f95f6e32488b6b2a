"""The checks of admit on an event from an external producer. Pure functions: they read neither store nor ledger."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Never

from daybook.contracts import clock
from daybook.contracts.catalogue import Catalogue
from daybook.contracts.contract import Contract, ContractBroken, Event, UnknownVersion
from daybook.contracts.envelope import MAX_EVENT_BYTES
from daybook.contracts.identity import admitted_id, content_hash, is_event_id

# How far a producer's clock may be ahead of this system's.
CLOCK_SKEW = timedelta(minutes=5)
# Producers report current facts. An earlier time comes from a wrong unit or a clock that was not set.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

_LONGEST_ID = 256  # characters


class Rejection(Exception):
    """The event is rejected. `code` is the kind of reason; `reason` is a sentence that never quotes the event."""

    def __init__(self, code: str, reason: str, *, event_id: str = "", event_type: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.event_id = event_id
        self.event_type = event_type


@dataclass(frozen=True, slots=True)
class Candidate:
    """A valid event. Whether its stream accepts it is not checked yet."""

    id: str
    contract: Contract
    stream: str
    version: int
    time: str
    data: str
    source: str
    producer_id: str
    content_hash: str
    correlation_id: str | None
    causation_id: str | None


def examine(body: str, catalogue: Catalogue) -> Candidate:
    """The valid event in the body of an SQS message from EventBridge. Raises Rejection."""
    envelope = _json_object(body)
    try:
        account, source, event_type = envelope["account"], envelope["source"], envelope["detail-type"]
        envelope_id, envelope_time, detail = envelope["id"], envelope["time"], envelope["detail"]
    except KeyError as error:
        raise Rejection("NotAnEvent", "the message is JSON, but not an EventBridge event") from error
    texts = (account, source, event_type, envelope_id, envelope_time)
    if not all(isinstance(text, str) for text in texts) or not is_event_id(envelope_id):
        raise Rejection("NotAnEvent", "the message is JSON, but not an EventBridge event")
    if foreign := catalogue.foreign.get((source, event_type)):
        event_type = foreign.contract.type
        detail = _translated(foreign, detail)
    metadata = _metadata(detail)
    event_class = catalogue.get(event_type)
    producer_id = _name(event_class, detail) or _text(metadata, "id") or envelope_id
    event_id = admitted_id(account, source, producer_id)
    try:
        return _candidate(event_id, event_class, source, producer_id, envelope_time, metadata, detail)
    except Rejection as refusal:
        refusal.event_id, refusal.event_type = event_id, event_type if event_class else ""
        raise


def _candidate(
    event_id: str,
    event_class: type[Event] | None,
    source: str,
    producer_id: str,
    envelope_time: str,
    metadata: dict[str, Any],
    detail: Any,
) -> Candidate:
    if event_class is None:
        raise Rejection("UnknownType", "no contract has this detail-type; the contracts are in the modules in events/")
    contract = event_class.contract
    if source not in contract.sources:
        allowed = ", ".join(contract.sources) or "none"
        raise Rejection("SourceNotAllowed", f"this source may not send {contract.type}; allowed sources: {allowed}")
    if "data" not in detail:
        raise Rejection("NoData", 'the detail has no "data"; send {"data": {…}}')
    data = _dumped(detail["data"])
    version = metadata.get("version", 1)
    if type(version) is not int:
        raise Rejection("BadMetadata", "metadata.version must be an integer")
    event = _read(event_class, data, version)
    return Candidate(
        id=event_id,
        contract=contract,
        stream=event.stream,
        version=version,
        time=_time(event.happened or _moment(_text(metadata, "time") or envelope_time)),
        data=data,
        source=source,
        producer_id=producer_id,
        content_hash=content_hash(contract.type, version, data),
        correlation_id=_text(metadata, "correlation_id"),
        causation_id=_text(metadata, "causation_id"),
    )


def _json_object(body: str) -> dict[str, Any]:
    try:
        body.encode()
        value = json.loads(body, parse_constant=_not_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Rejection("NotJson", "the message is not JSON") from error
    if not isinstance(value, dict):
        raise Rejection("NotAnEvent", "the message is JSON, but not an EventBridge event")
    return value


def _not_finite(_: str) -> Never:
    msg = "JSON has no infinite numbers and no NaN"
    raise ValueError(msg)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _not_finite(text)
    return number


def _metadata(detail: object) -> dict[str, Any]:
    metadata = detail.get("metadata") if isinstance(detail, dict) else None
    if not isinstance(detail, dict) or not isinstance(metadata, dict | None):
        raise Rejection("BadMetadata", 'the detail must be {"data": {…}}, optionally with "metadata": {…}')
    return metadata or {}


def _name(event_class: type[Event] | None, detail: dict[str, Any]) -> str | None:
    """The producer's id of the event in its data, if its contract has a field for it."""
    return event_class.contract.name(detail.get("data")) if event_class else None


def _text(metadata: dict[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ID:
        raise Rejection("BadMetadata", f"metadata.{name} must be a string of 1 to {_LONGEST_ID} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Rejection("NotJson", "a string in the event is not valid Unicode") from error
    return value


def _dumped(data: object) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise Rejection("NotJson", "a string in the event is not valid Unicode") from error
    if size > MAX_EVENT_BYTES:
        raise too_large()
    return text


def too_large() -> Rejection:
    """The rejection of an event that is too large."""
    return Rejection(
        "EventTooLarge",
        f"the event is larger than {MAX_EVENT_BYTES} bytes; store large content elsewhere and refer to it",
    )


def _translated(event_class: type[Event], detail: Any) -> dict[str, Any]:
    try:
        return event_class.translate(detail)
    except ContractBroken as error:
        raise Rejection("ContractBroken", str(error), event_type=event_class.contract.type) from error


def _read(event_class: type[Event], data: str, version: int) -> Event:
    try:
        return event_class.read(data, version=version)
    except UnknownVersion as error:
        raise Rejection("UnknownVersion", str(error)) from error
    except ContractBroken as error:
        raise Rejection("ContractBroken", str(error)) from error


def _moment(text: str) -> datetime:
    try:
        return clock.moment(text)
    except (ValueError, OverflowError) as error:
        raise Rejection("BadTime", "the time must have the form 2026-03-01T09:30:00Z") from error


def _time(moment: datetime) -> str:
    if moment > datetime.now(UTC) + CLOCK_SKEW:
        minutes = int(CLOCK_SKEW.total_seconds() // 60)
        raise Rejection("BadTime", f"the time is more than {minutes} minutes in the future; check the producer's clock")
    if moment < EARLIEST:
        raise Rejection("BadTime", f"the time is before {EARLIEST:%Y}; check its unit")
    return clock.timestamp(moment)

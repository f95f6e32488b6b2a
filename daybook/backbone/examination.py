"""What admit asks of an event from outside, before it may be stored. Pure: it knows neither store nor ledger."""

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

# How far a producer's clock may be ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)
# No business fact that a running system reports is older; a time before this is a wrong unit or an unset clock.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

_LONGEST_ID = 256  # characters


class Refusal(Exception):
    """The event cannot be admitted. `code` is the kind of reason; `reason` is a sentence that quotes nothing of it."""

    def __init__(self, code: str, reason: str, *, event_id: str = "", event_type: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.event_id = event_id
        self.event_type = event_type


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event that keeps its contract. Whether it fits into its stream is for the store to say."""

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
    """The candidate in the body of an SQS message that EventBridge sent. Raises Refusal."""
    envelope = _json_object(body)
    try:
        account, source, event_type = envelope["account"], envelope["source"], envelope["detail-type"]
        envelope_id, envelope_time, detail = envelope["id"], envelope["time"], envelope["detail"]
    except KeyError as error:
        raise Refusal("NotAnEvent", "the message is JSON, but not an EventBridge event") from error
    texts = (account, source, event_type, envelope_id, envelope_time)
    if not all(isinstance(text, str) for text in texts) or not is_event_id(envelope_id):
        raise Refusal("NotAnEvent", "the message is JSON, but not an EventBridge event")
    if foreign := catalogue.foreign.get((source, event_type)):
        event_type = foreign.contract.type
        detail = _translated(foreign, detail)
    metadata = _metadata(detail)
    event_class = catalogue.get(event_type)
    producer_id = _name(event_class, detail) or _text(metadata, "id") or envelope_id
    event_id = admitted_id(account, source, producer_id)
    try:
        return _candidate(event_id, event_class, source, producer_id, envelope_time, metadata, detail)
    except Refusal as refusal:
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
        raise Refusal("UnknownType", "no contract has this detail-type; see the modules in events/ for those there are")
    contract = event_class.contract
    if source not in contract.sources:
        allowed = ", ".join(contract.sources) or "none outside"
        raise Refusal("SourceNotAllowed", f"this source may not send {contract.type}; those that may: {allowed}")
    if "data" not in detail:
        raise Refusal("NoData", 'the detail has no "data"; send {"data": {…}}')
    data = _dumped(detail["data"])
    version = metadata.get("version", 1)
    if type(version) is not int:
        raise Refusal("BadMetadata", "metadata.version must be a whole number")
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
        raise Refusal("NotJson", "the message is not JSON") from error
    if not isinstance(value, dict):
        raise Refusal("NotAnEvent", "the message is JSON, but not an EventBridge event")
    return value


def _not_finite(_: str) -> Never:
    msg = "JSON has no such number"
    raise ValueError(msg)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _not_finite(text)
    return number


def _metadata(detail: object) -> dict[str, Any]:
    metadata = detail.get("metadata") if isinstance(detail, dict) else None
    if not isinstance(detail, dict) or not isinstance(metadata, dict | None):
        raise Refusal("BadMetadata", 'the detail must be {"data": {…}}, with "metadata": {…} at will')
    return metadata or {}


def _name(event_class: type[Event] | None, detail: dict[str, Any]) -> str | None:
    """What its producer tells the event by from all others, if its contract has a field for that."""
    return event_class.contract.name(detail.get("data")) if event_class else None


def _text(metadata: dict[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ID:
        raise Refusal("BadMetadata", f"metadata.{name} must be a text of 1 to {_LONGEST_ID} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Refusal("NotJson", "a text in the event is not valid Unicode") from error
    return value


def _dumped(data: object) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise Refusal("NotJson", "a text in the event is not valid Unicode") from error
    if size > MAX_EVENT_BYTES:
        raise too_large()
    return text


def too_large() -> Refusal:
    """The refusal of an event over the limit, whether it is seen before or after the envelope is made."""
    return Refusal(
        "EventTooLarge", f"the event is larger than {MAX_EVENT_BYTES} bytes; put large content elsewhere and name it"
    )


def _translated(event_class: type[Event], detail: Any) -> dict[str, Any]:
    try:
        return event_class.translate(detail)
    except ContractBroken as error:
        raise Refusal("ContractBroken", str(error), event_type=event_class.contract.type) from error


def _read(event_class: type[Event], data: str, version: int) -> Event:
    try:
        return event_class.read(data, version=version)
    except UnknownVersion as error:
        raise Refusal("UnknownVersion", str(error)) from error
    except ContractBroken as error:
        raise Refusal("ContractBroken", str(error)) from error


def _moment(text: str) -> datetime:
    try:
        return clock.moment(text)
    except (ValueError, OverflowError) as error:
        raise Refusal("BadTime", "the time is not of the form 2026-03-01T09:30:00Z") from error


def _time(moment: datetime) -> str:
    if moment > datetime.now(UTC) + CLOCK_SKEW:
        minutes = int(CLOCK_SKEW.total_seconds() // 60)
        raise Refusal("BadTime", f"the time is more than {minutes} minutes ahead; set the producer's clock")
    if moment < EARLIEST:
        raise Refusal("BadTime", f"the time is before {EARLIEST:%Y}; was it sent in another unit?")
    return clock.timestamp(moment)

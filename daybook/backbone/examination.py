"""The checks of admit on an event from an external producer. Pure functions: they read neither store nor ledger."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Never

from daybook.backbone.origins import Origins
from daybook.contracts import clock
from daybook.contracts.card_search import path_of_card_number
from daybook.contracts.catalogue import Catalogue
from daybook.contracts.contract import Contract, ContractBroken, Event, UnknownVersion
from daybook.contracts.envelope import MAX_EVENT_BYTES
from daybook.contracts.identity import admitted_id, content_hash, is_event_id, is_reference

# How far a producer's clock may be ahead of this system's.
CLOCK_SKEW = timedelta(minutes=5)
# Producers report current facts. An earlier time comes from a wrong unit or a clock that was not set.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

_MAX_ID_LENGTH = 256  # characters


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
    """A valid event. Whether its stream accepts it is not checked yet.

    `version` and `data` are what is stored: the newest version, with the fields that the contract knows. `content_hash`
    covers exactly that. So the same event with another unknown field is a duplicate, and nothing about fields that are
    not stored can be guessed from the hash.
    """

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


def examine(body: str, catalogue: Catalogue, origins: Origins) -> Candidate:
    """The valid event in the body of an SQS message from EventBridge. Raises Rejection."""
    envelope = _json_object(body)
    _check_card_numbers(envelope, catalogue)
    try:
        account, source, event_type = envelope["account"], envelope["source"], envelope["detail-type"]
        region = envelope["region"]
        envelope_id, envelope_time, detail = envelope["id"], envelope["time"], envelope["detail"]
    except KeyError as error:
        raise Rejection("NotAnEvent", "the message is JSON, but not an EventBridge event") from error
    texts = (account, region, source, event_type, envelope_id, envelope_time)
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
        _check_origin(origins, source, account, region)
        return _candidate(event_id, event_class, source, producer_id, envelope_time, metadata, detail)
    except Rejection as rejection:
        rejection.event_id, rejection.event_type = event_id, event_type if event_class else ""
        raise


def _check_origin(origins: Origins, source: str, account: str, region: str) -> None:
    if not origins.allow(source, account, region):
        reason = "this source's events come from another account or region; see the stage's setting `producers`"
        raise Rejection("OriginNotAllowed", reason)


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
    sent = _dumped(detail["data"])
    version = metadata.get("version", 1)
    if type(version) is not int:
        raise Rejection("BadMetadata", "metadata.version must be an integer")
    event, data = _read(event_class, sent, version)
    return Candidate(
        id=event_id,
        contract=contract,
        stream=event.stream,
        version=contract.version,
        time=_time(event.occurred_at or _moment(_text(metadata, "time") or envelope_time)),
        data=data,
        source=source,
        producer_id=producer_id,
        content_hash=content_hash(contract.type, contract.version, data),
        correlation_id=_reference(metadata, "correlation_id"),
        causation_id=_reference(metadata, "causation_id"),
    )


def _json_object(body: str) -> dict[str, Any]:
    try:
        body.encode()
        value = json.loads(body, parse_constant=_not_finite, parse_float=_finite, object_pairs_hook=_unique)
    except _DuplicateKey as error:
        reason = "a key occurs twice in one object, and readers of JSON disagree about which value counts; send it once"
        raise Rejection("DuplicateKey", reason) from error
    except (ValueError, RecursionError) as error:
        raise Rejection("NotJson", "the message is not JSON") from error
    if not isinstance(value, dict):
        raise Rejection("NotAnEvent", "the message is JSON, but not an EventBridge event")
    return value


class _DuplicateKey(ValueError):
    """A key occurs twice in an object (RFC 8259, section 4)."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _DuplicateKey
    return found


def _check_card_numbers(envelope: dict[str, Any], catalogue: Catalogue) -> None:
    """Reject a message that contains a card number. The rejection has no event id, which may be the number."""
    event_type = envelope.get("detail-type")
    event_class = catalogue.get(event_type) if isinstance(event_type, str) else None
    try:
        path = path_of_card_number(envelope, event_class)
    except RecursionError as error:
        raise Rejection("NotJson", "the message is nested too deeply") from error
    if path is not None:
        reason = (
            f"{path} contains a card number: the prefix of an issuer, its length and its check digit; card numbers are "
            "not stored here: send the payment provider's token. If it is another number, write it in another form"
        )
        raise Rejection("CardNumber", reason, event_type=event_class.contract.type if event_class else "")


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
    return event_class.contract.producer_id(detail.get("data")) if event_class else None


def _text(metadata: dict[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID_LENGTH:
        raise Rejection("BadMetadata", f"metadata.{name} must be a string of 1 to {_MAX_ID_LENGTH} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Rejection("NotJson", "a string in the event is not valid Unicode") from error
    if not value.isprintable():
        raise Rejection("BadMetadata", f"metadata.{name} has characters that nobody sees: controls or zero-width ones")
    return value


def _reference(metadata: dict[str, Any], name: str) -> str | None:
    value = _text(metadata, name)
    if value is not None and not is_reference(value):
        raise Rejection(
            "BadMetadata", f"metadata.{name} must be an id: a UUID, or 1 to 64 letters and digits of ASCII and - _ . :"
        )
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


def _read(event_class: type[Event], data: str, version: int) -> tuple[Event, str]:
    """The event, and the data to store."""
    try:
        return event_class.read_from_outside(data, version=version)
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

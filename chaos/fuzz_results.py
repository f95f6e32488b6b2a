"""The result of each message that the fuzz test sent, according to the ledger, which must have a row for each."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from chaos.fuzz_messages import MARKER, EntryPoint, Message
from daybook.contracts.card_search import removed_from
from daybook.contracts.contract import ContractBroken, UnknownVersion
from daybook.contracts.identity import admitted_id, content_hash
from daybook.operate.dead_letters.index import body
from daybook.store.ledger import COMMITTED, DEAD, TRYING, from_item
from daybook.store.ledger_keys import is_of_event
from events.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from daybook.operate.connection import Connection
    from daybook.store.ledger import LedgerEntry

ADMIT = "admit"
_BODY_KEY = "dead/"
# The errors of messages to a consumer whose event is not in the store.
_FORGED = {"NotAnEnvelope", "NotRecorded"}
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Status(StrEnum):
    """The result of one message."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"  # of a handled message
    DEAD = "dead"
    REPLACED = "replaced"  # dead; then a later dead letter with the same id took its place
    WAITING = "waiting"
    NOT_ACCEPTED = "not accepted"  # by AWS's API
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """A message that was sent. `envelope` is EventBridge's id for it; `refused` is the error code if AWS refused it."""

    message: Message
    envelope: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageResult:
    """The result of a message; its error if it is dead."""

    sent: SentMessage
    status: Status
    error: str = ""


class LedgerStatuses:
    """The ledger, as it was when this object was created.

    `quoting` lists dead letters whose reason contains the message's content, `unexplained` those without a reason.
    """

    def __init__(self, connection: Connection) -> None:
        self._account = connection.account
        self._rows: dict[tuple[str, str], LedgerEntry] = {}
        self._bodies: dict[tuple[str, str], LedgerEntry] = {}
        self._envelopes: dict[str, LedgerEntry] = {}
        self._counted: set[tuple[str, str]] = set()
        self.quoting: list[str] = []
        self.unexplained: list[str] = []
        for entry in _rows(connection):
            self._rows[entry.event, entry.consumer] = entry
            if entry.state == DEAD:
                self._read_dead(connection, entry)

    def results(self, sent: Sequence[SentMessage]) -> list[MessageResult]:
        """The result of each message."""
        return [self._result(each) for each in sent]

    def _result(self, sent: SentMessage) -> MessageResult:
        message = sent.message
        if sent.refused:
            return MessageResult(sent=sent, status=Status.NOT_ACCEPTED, error=sent.refused)
        consumer = message.queue.removesuffix("-dead") or ADMIT
        if message.entry_point is EntryPoint.INGRESS:
            dead = self._envelopes.get(sent.envelope)
        else:
            event = CATALOGUE.get(str(_part(_parsed(message.body), "detail-type")))
            # A dead letter is kept without card numbers.
            kept = (message.body, removed_from(message.body), removed_from(message.body, event))
            dead = next((found for each in kept if (found := self._bodies.get((consumer, _digest(each))))), None)
        error = str(dead.details["error"]) if dead else ""
        if message.entry_point is EntryPoint.CONSUMER:
            # None of these events is in the store, so no consumer may handle one or fail at its content.
            return MessageResult(sent=sent, status=Status.DEAD if error in _FORGED else Status.LOST, error=error)
        if dead:
            return MessageResult(sent=sent, status=Status.DEAD, error=error)
        entry, same = self._row(sent, consumer)
        if entry is None:
            status = Status.LOST
        elif entry.state == COMMITTED and same:
            key = entry.event, entry.consumer
            status = Status.DUPLICATE if key in self._counted else Status.HANDLED
            self._counted.add(key)
        elif entry.state == DEAD:
            status = Status.REPLACED
        elif entry.state == TRYING:
            status = Status.WAITING
        else:
            status = Status.LOST
        return MessageResult(sent=sent, status=status)

    def _row(self, sent: SentMessage, consumer: str) -> tuple[LedgerEntry | None, bool]:
        """The row of the message's event, and whether it has the same content as the message."""
        message = sent.message
        parsed = _parsed(message.body)
        if message.entry_point is EntryPoint.DEAD_LETTERS:
            named = message.attributes.get("event_id")
            return self._rows.get((named or str(_part(parsed, "detail", "metadata", "id")), consumer)), True
        if message.entry_point is EntryPoint.INGRESS:
            source, event_type, envelope, detail = message.source, message.type, sent.envelope, parsed
            account = self._account
        else:
            source, event_type, envelope = (str(_part(parsed, name)) for name in ("source", "detail-type", "id"))
            account, detail = str(_part(parsed, "account")), _part(parsed, "detail")
        event_class = CATALOGUE.get(event_type)
        data = _part(detail, "data")
        name = event_class.contract.producer_id(data) if event_class else None
        producer_id = name or _part(detail, "metadata", "id") or envelope
        entry = self._rows.get((admitted_id(account, source, str(producer_id)), consumer))
        if entry is None:
            return None, False
        version = _part(detail, "metadata", "version") or 1
        if event_class is None or type(version) is not int:
            return entry, False
        try:
            _, stored = event_class.read_from_outside(json.dumps(data), version=version)
        except (ContractBroken, UnknownVersion):
            return entry, False
        newest = event_class.contract.version
        return entry, entry.details.get("content_hash") == content_hash(event_type, newest, stored)

    def _read_dead(self, connection: Connection, entry: LedgerEntry) -> None:
        key = str(entry.details.get("body_key", ""))
        text = body(connection, entry)
        self._bodies[entry.consumer, key.removeprefix(_BODY_KEY) or _digest(text)] = entry
        if entry.consumer == ADMIT:
            for envelope in _UUID.findall(text):
                self._envelopes.setdefault(envelope, entry)
        if MARKER in f"{entry.details.get('reason')}{entry.details.get('error')}":
            self.quoting.append(f"{entry.event}@{entry.consumer}")
        if not entry.details.get("error") or not entry.details.get("reason"):
            self.unexplained.append(f"{entry.event}@{entry.consumer}")


def _rows(connection: Connection) -> Iterator[LedgerEntry]:
    pages = connection.dynamodb.get_paginator("scan").paginate(
        TableName=connection.names.ledger,
        ConsistentRead=True,
        FilterExpression="attribute_exists(#state)",
        ExpressionAttributeNames={"#state": "state"},
    )
    items = (item for page in pages for item in page["Items"])
    return (from_item(item) for item in items if is_of_event(item["key"]["S"]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _part(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value

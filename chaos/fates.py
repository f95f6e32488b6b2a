"""What became of each message that was put in: by the ledger, which must know of all of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from chaos.oddities import MARK, Door, Odd
from daybook.contracts.envelope import NotAnEnvelope, read_detail
from daybook.contracts.identity import admitted_id, content_hash
from daybook.operate.consumers import consumers
from daybook.operate.dead_letters.index import body
from daybook.store.ledger import COMMITTED, DEAD, TRYING, from_item
from events.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from daybook.operate.connection import Connection
    from daybook.store.ledger import Entry

ADMIT = "admit"
# Rows of other things than events.
_OTHERS = ("cursor#", "attempt#", "switch")
_BODY_KEY = "dead/"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Fate(StrEnum):
    """What became of one message."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"  # of one that was handled
    DEAD = "dead"
    SENT_AGAIN = "sent again"  # dead; and a later one under its id, dead too, has taken its place
    NUDGE = "no news"  # an ordered consumer, told to look into the store, has found no such event there
    WAITS = "waiting"  # for newer code
    NOT_TAKEN = "not taken"  # at the door, by AWS
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A message that was put in. `envelope` is EventBridge's id for it; `refused` says why the door took it not."""

    odd: Odd
    envelope: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of a message, and the kind of error if it is dead."""

    put: Put
    fate: Fate
    error: str = ""


class Fates:
    """The ledger as it is at one moment."""

    def __init__(self, connection: Connection) -> None:
        self._account = connection.account
        self._ordered = {name for name, consumer in consumers(connection).items() if consumer.ordered}
        self._rows: dict[tuple[str, str], Entry] = {}
        self._bodies: dict[tuple[str, str], Entry] = {}
        self._envelopes: dict[str, Entry] = {}
        self._counted: set[tuple[str, str]] = set()
        self.quoting: list[str] = []
        self.silent: list[str] = []
        for entry in _rows(connection):
            self._rows[entry.event, entry.consumer] = entry
            if entry.state == DEAD:
                self._read_dead(connection, entry)

    @property
    def dead(self) -> dict[str, int]:
        """How many rows are dead of each kind of error."""
        found: dict[str, int] = defaultdict(int)
        for entry in self._rows.values():
            if entry.state == DEAD:
                found[str(entry.details["error"])] += 1
        return dict(found)

    def of(self, puts: Sequence[Put]) -> list[Account]:
        """What became of each."""
        return [self._of(put) for put in puts]

    def _of(self, put: Put) -> Account:
        odd = put.odd
        if put.refused:
            return Account(put=put, fate=Fate.NOT_TAKEN, error=put.refused)
        consumer = odd.queue.removesuffix("-dead") or ADMIT
        if odd.door is Door.INGRESS:
            dead = self._envelopes.get(put.envelope)
        else:
            dead = self._bodies.get((consumer, _digest(odd.body)))
        if dead:
            return Account(put=put, fate=Fate.DEAD, error=str(dead.details["error"]))
        entry, same = self._row(put, consumer)
        if entry is None:
            # Its messages only tell it to look. None of these events is in the store.
            looked = odd.door is Door.CONSUMER and consumer in self._ordered and _is_whole(odd.body)
            fate = Fate.NUDGE if looked else Fate.VANISHED
        elif entry.state == COMMITTED and same:
            key = entry.event, entry.consumer
            fate = Fate.DUPLICATE if key in self._counted else Fate.HANDLED
            self._counted.add(key)
        elif entry.state == DEAD and odd.door is not Door.CONSUMER:
            fate = Fate.SENT_AGAIN
        elif entry.state == TRYING:
            fate = Fate.WAITS
        else:
            fate = Fate.VANISHED
        return Account(put=put, fate=fate)

    def _row(self, put: Put, consumer: str) -> tuple[Entry | None, bool]:
        """The row of the event that the message told of, and whether it stands for what the message said."""
        told = _loaded(put.odd.body)
        if put.odd.door in {Door.CONSUMER, Door.DEAD_LETTERS}:
            said = put.odd.attributes.get("event_id") if put.odd.door is Door.DEAD_LETTERS else None
            return self._rows.get((said or str(_part(told, "detail", "metadata", "id")), consumer)), True
        if put.odd.door is Door.INGRESS:
            source, event_type, envelope, detail = put.odd.source, put.odd.type, put.envelope, told
            account = self._account
        else:
            source, event_type, envelope = (str(_part(told, name)) for name in ("source", "detail-type", "id"))
            account, detail = str(_part(told, "account")), _part(told, "detail")
        event_class = CATALOGUE.get(event_type)
        data = _part(detail, "data")
        name = event_class.contract.name(data) if event_class else None
        producer_id = name or _part(detail, "metadata", "id") or envelope
        entry = self._rows.get((admitted_id(account, source, str(producer_id)), consumer))
        if entry is None:
            return None, False
        version = _part(detail, "metadata", "version") or 1
        same = entry.details.get("content_hash") == content_hash(event_type, version, json.dumps(data))
        return entry, same

    def _read_dead(self, connection: Connection, entry: Entry) -> None:
        key = str(entry.details.get("body_key", ""))
        text = body(connection, entry)
        self._bodies[entry.consumer, key.removeprefix(_BODY_KEY) or _digest(text)] = entry
        if entry.consumer == ADMIT:
            for envelope in _UUID.findall(text):
                self._envelopes.setdefault(envelope, entry)
        if MARK in f"{entry.details.get('reason')}{entry.details.get('error')}":
            self.quoting.append(f"{entry.event}@{entry.consumer}")
        if not entry.details.get("error") or not entry.details.get("reason"):
            self.silent.append(f"{entry.event}@{entry.consumer}")


def _rows(connection: Connection) -> Iterator[Entry]:
    pages = connection.dynamodb.get_paginator("scan").paginate(
        TableName=connection.names.ledger,
        ConsistentRead=True,
        FilterExpression="attribute_exists(#state)",
        ExpressionAttributeNames={"#state": "state"},
    )
    items = (item for page in pages for item in page["Items"])
    return (from_item(item) for item in items if not item["event"]["S"].startswith(_OTHERS))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_whole(text: str) -> bool:
    """Whether it is an event as the event bus brings it."""
    try:
        read_detail(_part(_loaded(text), "detail"))
    except NotAnEnvelope:
        return False
    return True


def _part(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value

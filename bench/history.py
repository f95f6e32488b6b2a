"""Generated history: events and their rows in the ledger, created by daybook's own code and written to the tables
directly.
"""

from __future__ import annotations

import json
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from daybook.contracts import clock
from daybook.contracts.proof import ADMIT
from daybook.local.errors import LocalRunError
from daybook.store import ledger_proofs
from daybook.store.attributes import pack_item
from daybook.store.event_store import Draft, Head, successor, to_item
from daybook.store.ledger import COMMITTED
from daybook.store.ledger_keys import of_event
from daybook.store.limits import BATCH_WRITE_ITEMS
from events.accounts import TransactionPosted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from daybook.operate.connection import Connection

_LONGEST = 200  # events of one stream
_WRITERS = 4

Item = dict[str, Any]
Put = tuple[str, Item]  # a table and an item


class NotWritten(LocalRunError):
    """The cloud did not write all items."""


def transactions(connection: Connection, events: int, *, committed_by: Sequence[str]) -> Iterator[Put]:
    """Transactions on streams of 1 to 200 events, each admitted and committed by these consumers."""
    rng = random.Random(events)  # noqa: S311 - the same lengths in each run
    left = events
    while left:
        length = min(left, rng.randint(1, _LONGEST))
        left -= length
        yield from _stream(connection, uuid.uuid4().hex[:12], length, (ADMIT, *committed_by))


def write(dynamodb: Any, puts: Iterable[Put]) -> None:
    """Write all items to their tables. Raises NotWritten."""
    waiting = iter(puts)

    def write_some(batch: list[Put]) -> None:
        request: dict[str, list[Any]] = {}
        for table, item in batch:
            request.setdefault(table, []).append({"PutRequest": {"Item": item}})
        if dynamodb.batch_write_item(RequestItems=request).get("UnprocessedItems"):
            msg = "the cloud did not write all items of the history"
            raise NotWritten(msg)

    with ThreadPoolExecutor(_WRITERS) as pool:
        while portion := [batch for _ in range(_WRITERS) if (batch := list(islice(waiting, BATCH_WRITE_ITEMS)))]:
            list(pool.map(write_some, portion))


def _stream(connection: Connection, account: str, length: int, consumers: Sequence[str]) -> Iterator[Put]:
    contract, head = TransactionPosted.contract, None
    data = json.dumps({**TransactionPosted.example, contract.stream_field: account}, default=str)
    for _ in range(length):
        now = clock.now()
        draft = Draft(
            id=str(uuid.uuid4()),
            type=contract.type,
            version=contract.version,
            stream=f"{contract.stream_kind}/{account}",
            time=now,
            data=data,
            producer=contract.sources[0],
            source=contract.published_source,
        )
        event = successor(draft, head, now, connection.keyring.writer(ADMIT))
        head = Head.at(event)
        yield connection.names.store, to_item(event)
        place = {"stream": draft.stream, "sequence": event.metadata.sequence}
        for consumer in consumers:
            row = {**of_event(draft.id, consumer), "state": COMMITTED, "at": now, **place}
            proof = ledger_proofs.prove(row, connection.keyring.writer(consumer))
            yield connection.names.ledger, pack_item({**row, **proof})

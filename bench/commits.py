"""Put events on the ingress bus, and read from the ledger when each consumer committed them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bench.flow import NotIdle
from daybook.contracts import clock
from daybook.operate.send.entries import read_entries
from daybook.operate.send.send import send
from daybook.store.ledger import COMMITTED
from daybook.store.ledger_keys import split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from daybook.operate.connection import Connection

TIMEOUT = timedelta(seconds=600)


def put(connection: Connection, entries: Sequence[dict[str, Any]]) -> set[str]:
    """Put events on the ingress bus. Returns their ids."""
    return {outcome.event_id or "" for outcome in send(connection, read_entries(json.dumps(entries)))}


def ends(connection: Connection, ids: set[str], *consumers: str) -> list[datetime]:
    """When each consumer committed each event. Waits for all. Raises NotIdle."""
    wanted = len(ids) * len(consumers)
    deadline = datetime.now(UTC) + TIMEOUT
    while len(found := list(_commits(connection, ids, consumers))) < wanted:
        if datetime.now(UTC) > deadline:
            msg = f"{len(found)} of {wanted} deliveries are committed after {TIMEOUT}"
            raise NotIdle(msg)
        time.sleep(0.5)
    return found


def _commits(connection: Connection, ids: set[str], consumers: tuple[str, ...]) -> Iterator[datetime]:
    pages = connection.dynamodb.get_paginator("scan").paginate(TableName=connection.names.ledger, ConsistentRead=True)
    for page in pages:
        for row in page["Items"]:
            consumer, event = split(row["key"]["S"])
            done = row.get("state", {}).get("S") == COMMITTED and consumer in consumers
            if done and event in ids:
                yield clock.moment(row["at"]["S"])

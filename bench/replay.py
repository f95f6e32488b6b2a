"""How many events per second a replay sends to a consumer, compared with the minimum of work for it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import history
from bench.flow import NotIdle
from bench.targets import Target
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.operate.rate_limit import RateLimit
from daybook.operate.replay.replay import Replay
from daybook.operate.replay.selection import Selection
from daybook.store.attributes import unpack_item
from daybook.store.journal import Span
from daybook.store.journal_shards import PARTS
from daybook.store.limits import SEND_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daybook.local.progress import Progress

TO = "tally-transaction"
_DATA = {"data", "source", "previous", "hash", "bucket", "position", "correlation"}


def measure(progress: Progress, *, events: int, rounds: int) -> list[Target]:
    """Write transactions to the store without publishing them; send them to a paused consumer in two ways, in turn."""
    with up(progress) as cloud:
        connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        history_ = _History(connection)
        with paused(connection, TO), paused(connection, "publish"):
            with progress.step(f"writing {events} transactions"):
                history_.record(events)
            ways: dict[str, Callable[[], int]] = {"replay": history_.replay, "plain": history_.send_plainly}
            rates: dict[str, list[float]] = {way: [] for way in ways}
            with progress.step(f"sending them to {TO} {rounds} times in each way"):
                for number in range(rounds):
                    for way in ways if number % 2 else reversed(ways):
                        rates[way].append(events / _seconds(connection, ways[way], events))
    for way, figures in rates.items():
        progress.say(f"  {way:<8}  {median(figures):7.1f} events per second ({min(figures):.1f} to {max(figures):.1f})")
    return [Target("events per second, replay to plain", median(rates["replay"]) / median(rates["plain"]), minimum=0.8)]


class _History:
    """The stored events, and two ways to send them to the consumer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue = _queue(connection)
        self._streams: list[str] = []
        self._span = Span(datetime.now(UTC) - timedelta(minutes=30), datetime.now(UTC) + timedelta(minutes=1))

    def record(self, events: int) -> None:
        """Write events to the store, several per stream."""
        puts = list(history.transactions(self._connection, events, committed_by=()))
        stored = [item for table, item in puts if table == self._connection.names.store]
        self._streams = list(dict.fromkeys(item["stream"]["S"] for item in stored))
        history.write(self._connection.dynamodb, puts)

    def replay(self) -> int:
        """Send them as `daybook replay --apply` does. Returns the number of delivered events."""
        replay = Replay(self._connection, TO, Selection(span=self._span))
        return sum(outcome.delivered for portion in replay.run(RateLimit()) for outcome in portion.outcomes)

    def send_plainly(self) -> int:
        """Query each stream and send its events, with as many threads as a replay. No ledger, no order by time."""
        with ThreadPoolExecutor(max_workers=PARTS) as pool:
            return sum(pool.map(self._stream, self._streams))

    def _stream(self, stream: str) -> int:
        sent = 0
        pages = self._connection.dynamodb.get_paginator("query").paginate(
            TableName=self._connection.names.store,
            KeyConditionExpression="#stream = :stream",
            ExpressionAttributeNames={"#stream": "stream"},
            ExpressionAttributeValues={":stream": {"S": stream}},
        )
        for page in pages:
            bodies = [_body(item) for item in page["Items"]]
            for start in range(0, len(bodies), SEND_MESSAGES):
                batch = bodies[start : start + SEND_MESSAGES]
                entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(batch)]
                answer = self._connection.sqs.send_message_batch(QueueUrl=self._queue, Entries=entries)
                sent += len(answer["Successful"])
        return sent


def _seconds(connection: Connection, send: Callable[[], int], events: int) -> float:
    """The seconds to send all events to the consumer's queue, which is purged first."""
    connection.sqs.purge_queue(QueueUrl=_queue(connection))
    began = time.monotonic()
    sent = send()
    seconds = time.monotonic() - began
    if sent != events:
        msg = f"{sent} of {events} events were sent to {TO}"
        raise NotIdle(msg)
    return seconds


def _body(item: dict[str, Any]) -> str:
    """The smallest valid message: the event's metadata and data, as they are stored."""
    metadata = unpack_item({name: value for name, value in item.items() if name not in _DATA})
    return f'{{"detail":{{"metadata":{json.dumps(metadata)},"data":{item["data"]["S"]}}}}}'


def _queue(connection: Connection) -> str:
    return str(connection.sqs.get_queue_url(QueueName=connection.names.of(TO))["QueueUrl"])


@contextmanager
def paused(connection: Connection, function: str) -> Iterator[None]:
    """The function receives no messages in the block."""
    lambda_ = connection.lambda_
    found = lambda_.list_event_source_mappings(FunctionName=connection.names.of(function))
    mapping = found["EventSourceMappings"][0]["UUID"]
    lambda_.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        yield
    finally:
        lambda_.update_event_source_mapping(UUID=mapping, Enabled=True)

"""How many events a second a replay gives to one consumer, beside the least that must be done for it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import history
from bench.aims import Aim
from bench.flow import NeverQuiet
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.operate.rate_limit import RateLimit
from daybook.operate.replay.replay import Replay
from daybook.operate.replay.selection import Selection
from daybook.store.attributes import unpack_item
from daybook.store.event_store import JOURNAL_SHARDS
from daybook.store.journal import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daybook.local.progress import Progress

TO = "tally-transaction"
_MOST_ENTRIES = 10  # SQS's quota for one SendMessageBatch
_DATA = {"data", "source", "previous", "hash", "bucket", "position", "story"}


def measure(progress: Progress, *, events: int, rounds: int) -> list[Aim]:
    """Record transactions behind publish's back, and give them to a paused consumer in turns: replayed, and plainly."""
    with up(progress) as cloud:
        connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        past = _Past(connection)
        with paused(connection, TO), paused(connection, "publish"):
            with progress.step(f"recording {events} transactions"):
                past.record(events)
            ways: dict[str, Callable[[], int]] = {"replay": past.replay, "plain": past.plainly}
            rates: dict[str, list[float]] = {way: [] for way in ways}
            with progress.step(f"giving them to {TO} {rounds} times each way"):
                for number in range(rounds):
                    for way in ways if number % 2 else reversed(ways):
                        rates[way].append(events / _seconds(connection, ways[way], events))
    for way, figures in rates.items():
        progress.say(f"  {way:<8}  {median(figures):7.1f} events a second ({min(figures):.1f} to {max(figures):.1f})")
    return [Aim("events a second, replay to plain", median(rates["replay"]) / median(rates["plain"]), at_least=0.8)]


class _Past:
    """What was recorded, and the two ways of giving it to the consumer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue = _queue(connection)
        self._streams: list[str] = []
        self._span = Span(datetime.now(UTC) - timedelta(minutes=30), datetime.now(UTC) + timedelta(minutes=1))

    def record(self, events: int) -> None:
        """Write events to the store, some to a stream."""
        puts = list(history.transactions(self._connection.names, events, committed_by=()))
        stored = [item for table, item in puts if table == self._connection.names.store]
        self._streams = list(dict.fromkeys(item["stream"]["S"] for item in stored))
        history.write(self._connection.dynamodb, puts)

    def replay(self) -> int:
        """As `daybook replay --apply` does it. Returns how many events were delivered."""
        replay = Replay(self._connection, TO, Selection(span=self._span))
        return sum(outcome.delivered for portion in replay.run(RateLimit()) for outcome in portion.outcomes)

    def plainly(self) -> int:
        """Query each stream, and send what comes, in as many threads as a replay has. No ledger, no order of time."""
        with ThreadPoolExecutor(max_workers=JOURNAL_SHARDS) as pool:
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
            for start in range(0, len(bodies), _MOST_ENTRIES):
                batch = bodies[start : start + _MOST_ENTRIES]
                entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(batch)]
                answer = self._connection.sqs.send_message_batch(QueueUrl=self._queue, Entries=entries)
                sent += len(answer["Successful"])
        return sent


def _seconds(connection: Connection, give: Callable[[], int], events: int) -> float:
    """How long it takes to give all events to the consumer, whose queue is empty before."""
    connection.sqs.purge_queue(QueueUrl=_queue(connection))
    began = time.monotonic()
    given = give()
    seconds = time.monotonic() - began
    if given != events:
        msg = f"{given} of {events} events were given to {TO}"
        raise NeverQuiet(msg)
    return seconds


def _body(item: dict[str, Any]) -> str:
    """The least that tells of the event: its metadata and its data, as they are stored."""
    metadata = unpack_item({name: value for name, value in item.items() if name not in _DATA})
    return f'{{"detail":{{"metadata":{json.dumps(metadata)},"data":{item["data"]["S"]}}}}}'


def _queue(connection: Connection) -> str:
    return str(connection.sqs.get_queue_url(QueueName=connection.names.of(TO))["QueueUrl"])


@contextmanager
def paused(connection: Connection, function: str) -> Iterator[None]:
    """In the block, the function gets nothing."""
    lambda_ = connection.lambda_
    found = lambda_.list_event_source_mappings(FunctionName=connection.names.of(function))
    mapping = found["EventSourceMappings"][0]["UUID"]
    lambda_.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        yield
    finally:
        lambda_.update_event_source_mapping(UUID=mapping, Enabled=True)

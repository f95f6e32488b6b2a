"""Putting a span of the past on the event bus again: republish is invoked for it, until its end.

For events that the store's DynamoDB stream no longer holds: it keeps them for 24 hours.
"""

import json
from collections.abc import Iterator
from functools import partial

from daybook.contracts import clock
from daybook.contracts.operations import SpanPublished
from daybook.operate.connection import Connection
from daybook.operate.errors import Unsuccessful
from daybook.operate.operation import Operation
from daybook.operate.parallel import Going, Partition, side_by_side
from daybook.operate.reading import chunks
from daybook.store.event_store import JOURNAL_SHARDS
from daybook.store.journal import Line, Span

# Publish runs for 60 seconds at the most (daybook/constructs/backbone.py), and its answer needs a moment.
_LONGEST_RUN = 75  # seconds
# How many events are counted between two checks whether to stop.
_COUNTED_AT_ONCE = 1000


class NotPublished(Unsuccessful):
    """Publish has failed in the middle of the span. `error` is the name of its error."""

    def __init__(self, error: str, reason: str, published: int) -> None:
        super().__init__(f"republish has failed after {published} events: {error}: {reason}")
        self.error = error


class Publication:
    """A span that is published again. `following` is where it goes on, None at its end; `published` is how many events
    are on the bus, `set_aside` how many publish could not put there.
    """

    def __init__(self, connection: Connection, span: Span) -> None:
        self._connection = connection
        self._span = span
        self.following: str | None = clock.timestamp(span.since)
        self.published = 0
        self.set_aside = 0

    def count(self) -> Iterator[int]:
        """How many events were recorded in the span: numbers to be added up."""
        journal = self._connection.journal

        def lines(shard: int, _: str, going: Going) -> Iterator[Line]:
            for bucket in self._span.of_shard(shard):
                if going():
                    yield from journal.lines(bucket, self._span, oldest_first=True)

        def count(partition: Partition, going: Going) -> Iterator[int]:
            yield from map(len, chunks(partition.read("", going), _COUNTED_AT_ONCE))

        return side_by_side([Partition(f"shard-{n}", partial(lines, n)) for n in range(JOURNAL_SHARDS)], count)

    def run(self) -> Iterator[None]:
        """Have republish do it. Yields after each of its runs. Raises NotPublished."""
        lambda_ = self._connection.client("lambda", attempts=1, seconds=_LONGEST_RUN)
        name, until = self._connection.names.of("republish"), clock.timestamp(self._span.until)
        while self.following:
            request = json.dumps({"since": self.following, "until": until})
            answer = lambda_.invoke(FunctionName=name, Payload=request)
            content = json.loads(answer["Payload"].read())
            if answer.get("FunctionError") or "errorMessage" in content:
                error = content if isinstance(content, dict) else {}
                reason = error.get("errorMessage", "no reason given")
                raise NotPublished(error.get("errorType", "Unknown"), reason, self.published)
            self.published += content["published"]
            self.set_aside += content["set_aside"]
            self.following = content["next"]
            yield

    def record(self, reason: str = "") -> str | None:
        """Record what was published, if any part of the span is done. Returns the operation's id."""
        done = clock.moment(self.following) if self.following else self._span.until
        if done <= self._span.since:
            return None
        operation = Operation.begin(self._connection)
        span = {"since": self._span.since, "until": done}
        operation.commit(SpanPublished(**operation.about, **span, reason=reason, published=self.published))
        return operation.id

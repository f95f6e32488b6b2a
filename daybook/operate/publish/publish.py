"""Publishes the events of a period again: invokes republish until the end of the period.

For events that are no longer in the table's change stream, which keeps them for 24 hours.
"""

import json
from collections.abc import Iterator
from functools import partial
from itertools import takewhile

from daybook.contracts import clock
from daybook.contracts.operations import SpanPublished
from daybook.operate.connection import Connection
from daybook.operate.errors import Unsuccessful
from daybook.operate.operation import Operation
from daybook.operate.parallel import Partition, Running, in_parallel
from daybook.operate.reading import chunks
from daybook.store.journal import JournalEntry, Span
from daybook.store.journal_shards import PARTS

# Republish runs for at most 60 seconds (daybook/constructs/backbone.py); its answer takes some seconds more.
_MAX_RUN = 75  # seconds
# The number of events that are counted at once.
_COUNTED_AT_ONCE = 1000


class NotPublished(Unsuccessful):
    """Republish has failed. `error` is the name of its error."""

    def __init__(self, error: str, reason: str, published: int) -> None:
        super().__init__(f"republish has failed after {published} events: {error}: {reason}")
        self.error = error


class Publication:
    """A period that is published again. `following` is the time at which to continue, None at the end; `published` is
    the number of published events, `set_aside` the number that EventBridge rejected.
    """

    def __init__(self, connection: Connection, span: Span) -> None:
        self._connection = connection
        self._span = span
        self.following: str | None = clock.timestamp(span.since)
        self.published = 0
        self.set_aside = 0

    def count(self) -> Iterator[int]:
        """The number of events recorded in the period, as partial sums."""
        journal = self._connection.journal

        def lines(part: int, _: str, running: Running) -> Iterator[JournalEntry]:
            for entries in takewhile(lambda _: running(), journal.part(part, self._span)):
                yield from entries

        def count(partition: Partition, running: Running) -> Iterator[int]:
            yield from map(len, chunks(partition.read("", running), _COUNTED_AT_ONCE))

        return in_parallel([Partition(f"part-{n}", partial(lines, n)) for n in range(PARTS)], count)

    def run(self) -> Iterator[None]:
        """Invoke republish until the end. Yields after each invocation. Raises NotPublished."""
        lambda_ = self._connection.client("lambda", attempts=1, seconds=_MAX_RUN)
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
        """Record what was published, if anything. Returns the id of the operation."""
        done = clock.moment(self.following) if self.following else self._span.until
        if done <= self._span.since:
            return None
        operation = Operation.start(self._connection)
        span = {"since": self._span.since, "until": done}
        operation.commit(SpanPublished(**operation.about, **span, reason=reason, published=self.published))
        return operation.id

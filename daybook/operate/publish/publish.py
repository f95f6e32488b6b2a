"""Putting a span of the past on the event bus once more: publish is invoked for it, again and again until its end.

For what the store's own stream has forgotten, which it does after 24 hours.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from daybook.contracts import clock
from daybook.contracts.operations import SpanPublished
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError
from daybook.operate.operation import Operation
from daybook.operate.parallel import Going, Lane, side_by_side
from daybook.store.event_store import JOURNAL_SHARDS
from daybook.store.journal import Line, Span

# Publish runs for 60 seconds at the most (daybook/constructs/backbone.py), and its answer needs a moment.
_LONGEST_RUN = 75  # seconds
# So many events are counted between two looks at whether to stop.
_COUNTED_AT_ONCE = 1000


class NotPublished(OperatorError):
    """Publish has failed in the middle of the span."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How much has been published so far, and from where it goes on; None at the end."""

    published: int
    following: str | None


class Publication:
    """A span that is published once more. `following` is where it goes on, `published` how many events it has put."""

    def __init__(self, connection: Connection, span: Span) -> None:
        self._connection = connection
        self._span = span
        self._until = clock.timestamp(span.until)
        self.following: str | None = clock.timestamp(span.since)
        self.published = 0

    def count(self) -> Iterator[int]:
        """How many events were recorded in the span: numbers to be added up."""
        journal = self._connection.journal

        def lines(shard: int, _: str, going: Going) -> Iterator[Line]:
            for bucket in self._span.of_shard(shard):
                if going():
                    yield from journal.lines(bucket, self._span, oldest_first=True)

        def count(lane: Lane, going: Going) -> Iterator[int]:
            number = 0
            for number, _ in enumerate(lane.read("", going), start=1):
                if number % _COUNTED_AT_ONCE == 0:
                    yield _COUNTED_AT_ONCE
            yield number % _COUNTED_AT_ONCE

        lanes = [Lane(f"shard-{shard}", partial(lines, shard)) for shard in range(JOURNAL_SHARDS)]
        return side_by_side(lanes, count)

    def run(self) -> Iterator[Progress]:
        """Have publish do it, and tell how far it is after each of its runs. Raises NotPublished."""
        lambda_ = self._connection.client("lambda", attempts=1, seconds=_LONGEST_RUN)
        while self.following:
            answer = self._invoke(lambda_, {"since": self.following, "until": self._until})
            self.published += answer["published"]
            self.following = answer["next"]
            yield Progress(self.published, self.following)

    def record(self, reason: str = "") -> str | None:
        """Record what was published, if anything was gone through. Returns the operation's id."""
        done = clock.moment(self.following) if self.following else self._span.until
        if done <= self._span.since:
            return None
        operation = Operation.begin(self._connection)
        operation.commit(
            SpanPublished(
                **operation.about, reason=reason, since=self._span.since, until=done, published=self.published
            )
        )
        return operation.id

    def _invoke(self, lambda_: Any, request: dict[str, str]) -> Any:
        answer = lambda_.invoke(FunctionName=self._connection.names.of("republish"), Payload=json.dumps(request))
        said = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            what = said if isinstance(said, dict) else {}
            told = f"{what.get('errorType', answer['FunctionError'])}: {what.get('errorMessage', 'no reason given')}"
            msg = f"publish has failed after {self.published} events: {told}"
            raise NotPublished(msg)
        return said

"""A day of the demo: events come in at the front door, and time passes."""

import time
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from daybook.local.errors import StepFailed
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError
from daybook.operate.idle import wait_until_idle
from daybook.operate.send.entries import Entry
from daybook.operate.send.send import send

# Long enough for every function's cold start on a slow machine.
PATIENCE = timedelta(seconds=300)


class Day:
    """What all businesses do on their day. Raises StepFailed, if what is promised does not come about in time.

    `refused` are the ids of events that will not be admitted; `log` is where the whole log of a failed run is kept.
    """

    def __init__(self, connection: Connection, refused: Collection[str], log: Path) -> None:
        self._connection = connection
        self._refused = refused
        self._log = log
        self._expected: set[str] = set()
        self._last = ""
        self._meanwhile = ExitStack()

    def send(self, entries: Iterable[Entry]) -> None:
        """Put events on the ingress bus."""
        try:
            for outcome in send(self._connection, list(entries)):
                if outcome.event_id is None:
                    raise self._failed("sending events", f"EventBridge: {outcome.error}")
                if outcome.event_id not in self._refused:
                    self._expected.add(outcome.event_id)
                    self._last = outcome.event_id
        except OperatorError as error:
            raise self._failed("sending events", str(error)) from error

    def expect(self, event_id: str) -> None:
        """Something else than the day has sent this event: all is quiet only once it is there."""
        self._expected.add(event_id)

    def send_one_by_one(self, entries: Iterable[Entry]) -> None:
        """Put events on the ingress bus, each when the one before it has been recorded: so in this order."""
        for entry in entries:
            self.send([entry])
            deadline = time.monotonic() + PATIENCE.total_seconds()
            while not self._admitted():
                if time.monotonic() > deadline:
                    raise self._failed("sending events one by one", f"  not recorded: {entry.type}")
                time.sleep(0.05)

    def meanwhile(self, something: AbstractContextManager[object]) -> None:
        """Let something be so until all is quiet: that other people's things fail, for example."""
        self._meanwhile.enter_context(something)

    def settle(self) -> None:
        """Wait until nothing is under way but timers: `wait_for` lets time pass."""
        now = datetime.now(UTC)
        with self._meanwhile:
            left = wait_until_idle(
                self._connection, now - timedelta(hours=1), now + PATIENCE, expected=self._expected, timers=False
            )
        if left:
            raise self._failed("waiting until all is quiet", "\n".join(f"  {each}" for each in left[:10]))

    def wait_for(self, event_type: str, streams: Iterable[str]) -> None:
        """Let sweep look for timers, as it does each minute, until each of the streams has an event of this type."""
        deadline = time.monotonic() + PATIENCE.total_seconds()
        waiting = set(streams)
        while waiting := {stream for stream in waiting if not self._has(event_type, stream)}:
            if time.monotonic() > deadline:
                raise self._failed("letting time pass", f"  no {event_type} on {', '.join(sorted(waiting))}")
            self._connection.lambda_.invoke(FunctionName=self._connection.names.of("fire-timers"))
            time.sleep(0.5)

    def _admitted(self) -> bool:
        """Whether the last event that was sent is in the store."""
        row = self._connection.ledger.find(self._last, "admit")
        return row is not None and row.done

    def _has(self, event_type: str, stream: str) -> bool:
        return any(event.metadata.type == event_type for event in self._connection.store.stream(stream))

    def _failed(self, step: str, why: str) -> StepFailed:
        return StepFailed(step, why, self._log)

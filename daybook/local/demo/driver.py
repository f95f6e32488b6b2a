"""Drives the demo: sends events, and waits until the system has processed them."""

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

# Long enough for all cold starts on a slow machine.
TIMEOUT = timedelta(seconds=300)


class DemoDriver:
    """What a business can do in a phase. Raises StepFailed if something does not happen in time.

    `rejected` are the ids of events that will be rejected; `log` is the file that keeps the log of a failed run.
    """

    def __init__(self, connection: Connection, rejected: Collection[str], log: Path) -> None:
        self._connection = connection
        self._rejected = rejected
        self._log = log
        self._expected: set[str] = set()
        self._last = ""
        self._until_idle = ExitStack()

    def send(self, entries: Iterable[Entry]) -> None:
        """Put events on the ingress bus."""
        try:
            for outcome in send(self._connection, list(entries)):
                if outcome.event_id is None:
                    raise self._failed("sending events", f"EventBridge: {outcome.error}")
                if outcome.event_id not in self._rejected:
                    self._expected.add(outcome.event_id)
                    self._last = outcome.event_id
        except OperatorError as error:
            raise self._failed("sending events", str(error)) from error

    def expect(self, event_id: str) -> None:
        """Wait for an event that something other than this driver has sent."""
        self._expected.add(event_id)

    def send_one_by_one(self, entries: Iterable[Entry]) -> None:
        """Put events on the ingress bus, each when the previous one is recorded. So they are recorded in this order."""
        for entry in entries:
            self.send([entry])
            deadline = time.monotonic() + TIMEOUT.total_seconds()
            while not self._admitted():
                if time.monotonic() > deadline:
                    raise self._failed("sending events one by one", f"  not recorded: {entry.type}")
                time.sleep(0.05)

    def keep_until_idle(self, context: AbstractContextManager[object]) -> None:
        """Keep a context open until the system is idle, for example a fault of the payment provider."""
        self._until_idle.enter_context(context)

    def wait_until_idle(self) -> None:
        """Wait until the system is idle. Pending timers do not count: see `wait_for`."""
        now = datetime.now(UTC)
        with self._until_idle:
            left = wait_until_idle(
                self._connection, now - timedelta(hours=1), now + TIMEOUT, expected=self._expected, timers=False
            )
        if left:
            raise self._failed("waiting until the system is idle", "\n".join(f"  {each}" for each in left[:10]))

    def wait_for(self, event_type: str, streams: Iterable[str]) -> None:
        """Invoke fire-timers, as it runs each minute, until each stream has an event of this type."""
        deadline = time.monotonic() + TIMEOUT.total_seconds()
        waiting = set(streams)
        while waiting := {stream for stream in waiting if not self._has(event_type, stream)}:
            if time.monotonic() > deadline:
                raise self._failed("waiting for timers", f"  no {event_type} on {', '.join(sorted(waiting))}")
            self._connection.lambda_.invoke(FunctionName=self._connection.names.of("fire-timers"))
            time.sleep(0.5)

    def _admitted(self) -> bool:
        """Whether the event that was sent last is in the store."""
        row = self._connection.ledger.find(self._last, "admit")
        return row is not None and row.done

    def _has(self, event_type: str, stream: str) -> bool:
        return any(event.metadata.type == event_type for event in self._connection.store.stream(stream))

    def _failed(self, step: str, why: str) -> StepFailed:
        return StepFailed(step, why, self._log)

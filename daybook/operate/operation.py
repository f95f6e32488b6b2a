"""Records operations: each change by an operator is an event in the store, on the stream `operation/<id>`.

    operation = Operation.start(connection)
    operation.commit(DeadLettersDiscarded(**operation.about, reason="…", dead_letters=…), rows)

The event and the change are one transaction: there is no change without a record.
"""

import getpass
import socket
import time
import uuid
from collections.abc import Mapping
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.operations import MAX_REASON_LENGTH
from daybook.contracts.proof import OPERATIONS
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.errors import OperatorError
from daybook.store.event_store import Draft, Head, successor
from daybook.store.transaction import Backoff, ConditionsFailed, write

# The name of the event's part in the transaction.
OPERATION = "operation"

# How long a transaction is retried when it conflicts with another.
_MAX_CONFLICT_TIME = 30.0  # seconds


class NoReason(OperatorError):
    """The reason of an operation is missing or too long. Nothing was changed."""


def check_reason(reason: str, *, required: bool = True) -> None:
    """Check the reason of an operation before anything is changed. Raises NoReason."""
    if required and not reason.strip():
        raise NoReason("a reason is required: --reason TEXT. It is recorded. Nothing was changed")
    if len(reason) > MAX_REASON_LENGTH:
        raise NoReason(
            f"the reason has {len(reason)} characters; the limit is {MAX_REASON_LENGTH}. Nothing was changed"
        )


class Operation:
    """One operation and its stream. `about` are the fields that all its events have."""

    def __init__(self, connection: Connection, operation_id: str, operator: str, head: Head | None = None) -> None:
        self._connection = connection
        self._head = head
        self.id = operation_id
        self.operator = operator

    @classmethod
    def start(cls, connection: Connection) -> Self:
        """A new operation of the current user. Nothing is recorded yet. Raises botocore's errors."""
        return cls(connection, str(uuid.uuid4()), _current_user(connection))

    @classmethod
    def resume(cls, connection: Connection, operation_id: str) -> Self:
        """An operation that was recorded before: further events are appended to its stream."""
        return cls(
            connection, operation_id, _current_user(connection), connection.store.head(f"operation/{operation_id}")
        )

    @property
    def about(self) -> dict[str, str]:
        """The fields that all events of operations have."""
        return {"operation_id": self.id, "operator": self.operator}

    @property
    def is_recorded(self) -> bool:
        """Whether it has a recorded event."""
        return self._head is not None

    def commit(self, event: Event, parts: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Record the event in one transaction with the named `parts`, at most 99.

        Raises ConditionsFailed if a condition does not hold; nothing is changed then. Raises OutOfTime and botocore's
        errors, after which it may have been recorded.
        """
        contract, now = event.contract, clock.now()
        draft = Draft(
            id=str(uuid.uuid4()),
            type=contract.type,
            version=contract.version,
            stream=event.stream,
            time=now,
            data=event.to_json(),
            producer="daybook",
            source=contract.published_source,
        )
        envelope = successor(draft, self._head, now, self._connection.keyring.writer(OPERATIONS))
        end = time.monotonic() + _MAX_CONFLICT_TIME
        every = {**(parts or {}), OPERATION: self._connection.store.append(envelope)}
        write(self._connection.dynamodb, every, Backoff(lambda: end - time.monotonic()))
        self._head = Head.at(envelope)

    def try_to_commit(self, event: Event, parts: Mapping[str, Mapping[str, Any]] | None = None) -> bool:
        """Like `commit`, but returns False if a condition does not hold."""
        try:
            self.commit(event, parts)
        except ConditionsFailed:
            return False
        return True


def _current_user(connection: Connection) -> str:
    """The user's ARN. A local run has no identities: there it is the user of this machine."""
    if connection.stage != LOCAL:
        return str(connection.client("sts").get_caller_identity()["Arn"])
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user, as in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"

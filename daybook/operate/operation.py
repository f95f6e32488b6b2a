"""An operation: a change that an operator makes, recorded as it is done by events of the store on `operation/<id>`.

    operation = Operation.begin(connection)
    operation.commit(DeadLettersDiscarded(**operation.about, reason="…", dead_letters=…), rows)

The event and the change are one transaction: there is no change without its record.
"""

import getpass
import socket
import time
import uuid
from collections.abc import Mapping
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.operations import LONGEST_REASON
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.errors import OperatorError
from daybook.store.event_store import Draft, Head, successor
from daybook.store.transaction import Backoff, ConditionsFailed, write

# The name of the event's part in each transaction of an operation.
OPERATION = "operation"

# How long a transaction is sent again that conflicts with others.
_LONGEST_CONFLICT = 30.0  # seconds


class NoReason(OperatorError):
    """An operation needs a reason and has none, or the reason is too long. Nothing was done."""


def because(reason: str, *, required: bool = True) -> str:
    """The reason of an operation, checked before anything is done. Raises NoReason."""
    if required and not reason.strip():
        raise NoReason("say why, for those who read the record of what you do: --reason TEXT; nothing was done")
    if len(reason) > LONGEST_REASON:
        msg = f"the reason has {len(reason)} characters; {LONGEST_REASON} are the limit, and nothing was done"
        raise NoReason(msg)
    return reason


class Operation:
    """One operation, with its stream. `about` are the two fields that all its events have."""

    def __init__(self, connection: Connection, operation_id: str, operator: str, head: Head | None = None) -> None:
        self._connection = connection
        self._head = head
        self.id = operation_id
        self.operator = operator

    @classmethod
    def begin(cls, connection: Connection) -> Self:
        """A new operation by the person who runs the command. Nothing is recorded yet. Raises botocore's errors."""
        return cls(connection, str(uuid.uuid4()), _who(connection))

    @classmethod
    def resume(cls, connection: Connection, operation_id: str) -> Self:
        """An operation that was begun before: further events follow the recorded ones."""
        return cls(connection, operation_id, _who(connection), connection.store.head(f"operation/{operation_id}"))

    @property
    def about(self) -> dict[str, str]:
        """The fields that all events of operations have: which, and who."""
        return {"operation_id": self.id, "operator": self.operator}

    @property
    def begun(self) -> bool:
        """Whether anything of it is recorded."""
        return self._head is not None

    def commit(self, event: Event, parts: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Record the event, in one transaction with the named `parts`: 99 of them at the most.

        Raises ConditionsFailed if the condition of one of them does not hold, and nothing is done then; OutOfTime; and
        botocore's errors, after which it may have been done.
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
        envelope = successor(draft, self._head, now)
        end = time.monotonic() + _LONGEST_CONFLICT
        every = {**(parts or {}), OPERATION: self._connection.store.append(envelope)}
        write(self._connection.dynamodb, every, Backoff(lambda: end - time.monotonic()))
        self._head = Head.at(envelope)

    def try_to_commit(self, event: Event, parts: Mapping[str, Mapping[str, Any]] | None = None) -> bool:
        """The same. False, and nothing is done, if a condition does not hold."""
        try:
            self.commit(event, parts)
        except ConditionsFailed:
            return False
        return True


def _who(connection: Connection) -> str:
    """By AWS's word; on the local run, where AWS knows nobody, by this machine's."""
    if connection.stage != LOCAL:
        return str(connection.client("sts").get_caller_identity()["Arn"])
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user, as in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"

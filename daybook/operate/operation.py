"""What an operator does, recorded as it is done: each act is an event in the store, on `operation/<id>`.

    operation = Operation.begin(connection)
    operation.commit(DeadLettersDiscarded(**operation.about, reason="…", letters=…), rows)

The event and what it tells of are one transaction: there is no act without its record.
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
from daybook.store.transaction import Pauses, write

# The name of the event's part in each transaction of an operation.
OPERATION = "operation"

# For how long others may be in the way of one transaction.
_PATIENCE = 30.0  # seconds


class NoReason(OperatorError):
    """An act must be explained, and is not; or at too great a length."""


def because(reason: str) -> str:
    """The reason for an act that must have one, before anything is done. Raises NoReason."""
    if not reason.strip():
        msg = "say why, for those who read the record of what you do: --reason TEXT; nothing was done"
        raise NoReason(msg)
    if len(reason) > LONGEST_REASON:
        msg = f"the reason has {len(reason)} characters; {LONGEST_REASON} are the limit, and nothing was done"
        raise NoReason(msg)
    return reason


class Operation:
    """One act, with its stream. `about` are the two fields that all its events have."""

    def __init__(self, connection: Connection, operation_id: str, operator: str, head: Head | None = None) -> None:
        self._connection = connection
        self._head = head
        self.id = operation_id
        self.operator = operator

    @classmethod
    def begin(cls, connection: Connection) -> Self:
        """A new act of whoever runs this. Nothing is recorded yet. Raises botocore's errors."""
        return cls(connection, str(uuid.uuid4()), _who(connection))

    @classmethod
    def resume(cls, connection: Connection, operation_id: str) -> Self:
        """An act that was begun before: what comes now is recorded behind it."""
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

        Raises Refused if the condition of one of them does not hold, and nothing is done then; OutOfTime; and
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
        began = time.monotonic()
        pauses = Pauses(lambda: _PATIENCE - (time.monotonic() - began))
        write(self._connection.dynamodb, {**(parts or {}), OPERATION: self._connection.store.append(envelope)}, pauses)
        self._head = Head.at(envelope)


def _who(connection: Connection) -> str:
    """By AWS's word; on the local run, where AWS knows nobody, by this machine's."""
    if connection.stage != LOCAL:
        return str(connection.client("sts").get_caller_identity()["Arn"])
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user, as in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"

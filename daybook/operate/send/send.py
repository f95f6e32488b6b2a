"""Putting events on a stage's ingress bus, as a producer would."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from daybook.contracts.identity import admitted_id
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError, code, is_denied, is_throttled
from daybook.operate.polling import attempts
from daybook.operate.reading import batches
from daybook.operate.send.entries import Entry

# EventBridge's quotas for one PutEvents.
_MOST_ENTRIES = 10
_MOST_BYTES = 1_000_000

# What EventBridge says of an entry that may be taken another time
# (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html).
_PASSING = {"InternalException", "InternalFailure", "ServiceUnavailable", "ThrottlingException", "Throttling"}


class PerhapsSent(OperatorError):
    """EventBridge gave no answer, so that it is not known what it took. Look before you send events without an id
    again.
    """

    def __init__(self, waiting: Sequence[Entry], stage: str) -> None:
        numbers = ", ".join(str(entry.number) for entry in waiting)
        super().__init__(
            f"EventBridge took a call and gave no answer: events {numbers} may have been taken, or not. Look with "
            f"`daybook events --since 5m --stage {stage}` before you send them again"
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an entry: taken, with EventBridge's id and the one it has in Daybook; or not, with a reason."""

    entry: Entry
    envelope_id: str | None
    event_id: str | None
    error: str | None = None

    @property
    def taken(self) -> bool:
        """Whether it is on the ingress bus. Whether it is admitted is decided after that."""
        return self.error is None


def send(
    connection: Connection, events: Sequence[Entry], *, pause: Callable[[float], None] = time.sleep
) -> Iterator[Outcome]:
    """Put events on the ingress bus, batch by batch, and yield the outcome of each.

    Entries that EventBridge could not take are sent again a few times; `pause` waits that many seconds before. A call
    that gets no answer is not retried, since its events may have been taken: PerhapsSent.
    """
    _find_bus(connection)
    account = connection.account
    for batch in batches(events, lambda entry: entry.size, most=_MOST_ENTRIES, most_bytes=_MOST_BYTES):
        waiting = batch
        outcomes: dict[int, Outcome] = {}
        for _ in attempts(pause):
            answers = _put(connection, waiting)
            outcomes |= {entry.number: _outcome(entry, said, account) for entry, said in answers}
            waiting = [entry for entry, said in answers if said.get("ErrorCode") in _PASSING]
            if not waiting:
                break
        yield from (outcomes[entry.number] for entry in batch)


def _find_bus(connection: Connection) -> None:
    """EventBridge drops events for a bus that does not exist, without an error."""
    try:
        connection.eventbridge.describe_event_bus(Name=connection.names.ingress_bus)
    except ClientError as error:
        if not is_denied(error):  # who may only send need not be able to look
            raise


def _put(connection: Connection, waiting: Sequence[Entry]) -> list[tuple[Entry, Mapping[str, Any]]]:
    request = [
        {
            "EventBusName": connection.names.ingress_bus,
            "Source": entry.source,
            "DetailType": entry.type,
            "Detail": entry.detail,
            **entry.options,
        }
        for entry in waiting
    ]
    try:
        answers = connection.eventbridge.put_events(Entries=request)["Entries"]
    except (ReadTimeoutError, ConnectionClosedError) as error:
        raise PerhapsSent(waiting, connection.stage) from error
    except ClientError as error:
        if not is_throttled(error):
            raise
        answers = [{"ErrorCode": "ThrottlingException", "ErrorMessage": code(error)}] * len(request)
    return list(zip(waiting, answers, strict=True))


def _outcome(entry: Entry, said: Mapping[str, Any], account: str) -> Outcome:
    if error := said.get("ErrorCode"):
        return Outcome(entry, None, None, f"{error}: {said.get('ErrorMessage') or 'no reason given'}")
    envelope_id = str(said["EventId"])
    return Outcome(entry, envelope_id, admitted_id(account, entry.source, entry.producer_id or envelope_id))

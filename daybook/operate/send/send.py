"""Sends events to the ingress bus of a stage, as a producer would."""

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
from daybook.operate.terminal import daybook

# EventBridge's quotas for one PutEvents.
_MAX_ENTRIES = 10
_MAX_BYTES = 1_000_000

# Error codes of entries that can be sent again
# (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html).
_RETRYABLE = {"InternalException", "InternalFailure", "ServiceUnavailable", "ThrottlingException", "Throttling"}


class SendUnconfirmed(OperatorError):
    """EventBridge did not answer, so events may have been accepted. Check before you send them again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for one entry: accepted, with EventBridge's id and the event id in Daybook, or rejected."""

    entry: Entry
    envelope_id: str | None
    event_id: str | None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether EventBridge has accepted it. Admit may still reject it."""
        return self.error is None


def send(
    connection: Connection, events: Sequence[Entry], *, pause: Callable[[float], None] = time.sleep
) -> Iterator[Outcome]:
    """Send events in batches, and yield the outcome of each.

    Entries that EventBridge throttles are sent again a few times, after `pause` has waited. Raises SendUnconfirmed if
    a call gets no answer: it is not retried, because its events may have been accepted.
    """
    _find_bus(connection)
    account = connection.account
    for batch in batches(events, lambda entry: entry.size, most=_MAX_ENTRIES, most_bytes=_MAX_BYTES):
        waiting = batch
        outcomes: dict[int, Outcome] = {}
        for _ in attempts(pause):
            answers = _put(connection, waiting)
            outcomes |= {entry.number: _outcome(entry, answer, account) for entry, answer in answers}
            waiting = [entry for entry, answer in answers if answer.get("ErrorCode") in _RETRYABLE]
            if not waiting:
                break
        yield from (outcomes[entry.number] for entry in batch)


def _find_bus(connection: Connection) -> None:
    """EventBridge drops events for a bus that does not exist, without an error."""
    try:
        connection.eventbridge.describe_event_bus(Name=connection.names.ingress_bus)
    except ClientError as error:
        if not is_denied(error):  # a sender may lack this permission
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
        numbers = ", ".join(str(entry.number) for entry in waiting)
        raise SendUnconfirmed(
            f"EventBridge did not answer: it may have accepted the events {numbers}. Check, before you "
            f"send them again: {daybook('events', since='5m', stage=connection.stage)}"
        ) from error
    except ClientError as error:
        if not is_throttled(error):
            raise
        answers = [{"ErrorCode": "ThrottlingException", "ErrorMessage": code(error)}] * len(request)
    return list(zip(waiting, answers, strict=True))


def _outcome(entry: Entry, answer: Mapping[str, Any], account: str) -> Outcome:
    if error := answer.get("ErrorCode"):
        return Outcome(entry, None, None, f"{error}: {answer.get('ErrorMessage') or 'no reason given'}")
    envelope_id = str(answer["EventId"])
    return Outcome(entry, envelope_id, admitted_id(account, entry.source, entry.producer_id or envelope_id))

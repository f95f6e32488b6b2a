"""The outcome of a delivery attempt: a pure function of its error, the earlier attempts, and the retry settings."""

import math
import random
from dataclasses import dataclass
from enum import Enum, auto

from botocore.exceptions import ClientError

from daybook.consumers.circuit_breaker import BreakerOpen
from daybook.consumers.effect_records import OutcomeUnknown
from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.contracts.contract import ContractBroken, UnknownVersion
from daybook.runtime.retry import Retry
from daybook.store.cursor import ConcurrentWrite
from daybook.store.ledger_proofs import LedgerRowNotProven
from daybook.store.transaction import OutOfTime, is_conflict

# A message that was handed back is redelivered within this time.
_SOON = 5.0  # seconds
# SQS's maximum visibility timeout is 12 hours from when the message was received; one hour is a margin.
_MAX_VISIBILITY = 11 * 3_600  # seconds
# The log message of a delivery that waits for something, such as another event or an external system.
RETRY_LATER = "retry later"


class Duplicate(Exception):
    """The event was processed before. Nothing was changed."""


class Verdict(Enum):
    """The result of a delivery."""

    COMMITTED = auto()
    DUPLICATE = auto()  # the event was processed before
    RETRY = auto()  # the message is redelivered
    DEAD = auto()  # the message becomes a dead letter
    CURSOR_CHANGED = auto()  # another invocation has moved the cursor of the stream; only for ordered consumers


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a delivery.

    For a retry, `log` is its log message, and `seconds` the time until the redelivery; 0 means the queue's visibility
    timeout, without a note in the ledger. `counts`: it counts as a failed delivery attempt, whose number is limited.
    `conflicts` is how often concurrent writes made a rerun necessary.
    """

    verdict: Verdict
    log: str = ""
    error: Exception | None = None
    seconds: int = 0
    counts: bool = False
    conflicts: int = 0


_VERDICTS: dict[type, Verdict] = {
    type(None): Verdict.COMMITTED,
    Duplicate: Verdict.DUPLICATE,
    ConcurrentWrite: Verdict.CURSOR_CHANGED,
}


def outcome_of(error: Exception | None, *, failed: int, age: float, retry: Retry) -> Outcome:
    """The outcome of a delivery attempt that raised `error`, or none.

    `failed` is the number of earlier failed attempts; `age` is in seconds since the message was sent to its queue.
    """
    if (verdict := _VERDICTS.get(type(error))) or error is None:
        return Outcome(verdict=verdict or Verdict.COMMITTED)
    match error:
        case _ if _is_out_of_time(error):
            return handed_back()
        case BreakerOpen():
            # Up to 50 % later, so that the messages are not all redelivered at once.
            seconds = max(error.seconds, _SOON) * random.uniform(1, 1.5)  # noqa: S311 - spreads load
            return _retry("breaker is open", error, math.ceil(min(seconds, _MAX_VISIBILITY)))
        case UnknownVersion() | RetryLater() | OutcomeUnknown(final=False, unanswered=True):
            return (
                _retry(RETRY_LATER, error, retry.waiting_backoff(age))
                if age <= _retry_window(error, retry)
                else _dead(error)
            )
        case NonRetryable() | ContractBroken() | OutcomeUnknown(final=True) | LedgerRowNotProven():
            return _dead(error)
    return _failed_attempt(error, failed, retry)


def _is_out_of_time(error: Exception) -> bool:
    """Whether no time was left, or conflicts with other transactions lasted too long."""
    return isinstance(error, OutOfTime) or (isinstance(error, ClientError) and is_conflict(error))


def _retry_window(error: UnknownVersion | RetryLater | OutcomeUnknown, retry: Retry) -> float:
    """For how many seconds a delivery with this error is retried. Without limit if newer code must be deployed."""
    if isinstance(error, UnknownVersion):
        return math.inf
    return retry.retry_window if error.retry_window is None else error.retry_window


def _failed_attempt(error: Exception, failed: int, retry: Retry) -> Outcome:
    """Any other error may be temporary: the delivery is retried with growing back-off, up to the limit of attempts."""
    if failed + 1 >= retry.max_attempts:
        return Outcome(verdict=Verdict.DEAD, error=error, counts=True)
    return Outcome(verdict=Verdict.RETRY, error=error, seconds=retry.backoff(failed), counts=True)


def _dead(error: Exception) -> Outcome:
    return Outcome(verdict=Verdict.DEAD, error=error)


def handed_back() -> Outcome:
    """The message was not attempted. It is redelivered soon."""
    return Outcome(
        verdict=Verdict.RETRY,
        log="handed back",
        seconds=max(1, round(random.uniform(0, _SOON))),  # noqa: S311 - only spreads load
    )


def unsettled(error: Exception) -> Outcome:
    """The delivery was not handled, or its outcome not recorded. It is redelivered after the visibility timeout."""
    return Outcome(verdict=Verdict.RETRY, error=error)


def _retry(log: str, error: Exception, seconds: int) -> Outcome:
    return Outcome(verdict=Verdict.RETRY, log=log, error=error, seconds=seconds)

"""What the end of a delivery attempt means: a pure function of the error, the attempts before, and the settings."""

import math
import random
from dataclasses import dataclass
from enum import Enum, auto

from daybook.consumers.effect_records import OutcomeUnknown
from daybook.consumers.failure import NotYet, Rejected
from daybook.consumers.switch import BreakerOpen
from daybook.contracts.contract import ContractBroken, UnknownVersion
from daybook.runtime.retry import Retry
from daybook.store.cursor import Overtaken
from daybook.store.transaction import OutOfTime

# How soon a message is redelivered that was handed back.
_SOON = 5.0  # seconds
# The longest that SQS hides a message (12 hours), less the time since it was received.
_LONGEST_HIDING = 11 * 3_600  # seconds


class Duplicate(Exception):
    """The event was done before. Nothing was changed, and nothing need be."""


class Verdict(Enum):
    """What becomes of a delivery."""

    COMMITTED = auto()
    DUPLICATE = auto()  # the event was done before
    RETRY = auto()  # the message is redelivered
    DEAD = auto()  # the message is a dead letter
    OVERTAKEN = auto()  # another run is further in the stream; only where order matters


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a delivery has ended.

    Of a retry, `log` is what its log line says, and `seconds` the time until the redelivery; 0 stands for the queue's
    own visibility time-out, without a note in the ledger. `counts`: it is a failed attempt, of which there may only be
    so many. `conflicts` is how often others' writes made the body run again.
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
    Overtaken: Verdict.OVERTAKEN,
}


def outcome_of(error: Exception | None, *, failed: int, age: float, retry: Retry) -> Outcome:
    """The outcome of an attempt that has ended in this error, or in none.

    `failed` attempts have counted before; the message was put into its queue `age` seconds ago.
    """
    if (verdict := _VERDICTS.get(type(error))) or error is None:
        return Outcome(verdict=verdict or Verdict.COMMITTED)
    match error:
        case OutOfTime():
            return handed_back()
        case BreakerOpen():
            # Not all at once: each is redelivered up to half as late again.
            seconds = max(error.seconds, _SOON) * random.uniform(1, 1.5)  # noqa: S311 - spreads load
            return _retry("breaker is open", error, math.ceil(min(seconds, _LONGEST_HIDING)))
        case UnknownVersion() | NotYet() | OutcomeUnknown(final=False, unanswered=True):
            return _retry("waits", error, retry.wait(age)) if age <= _window(error, retry) else _dead(error)
        case Rejected() | ContractBroken() | OutcomeUnknown(final=True):
            return _dead(error)
    return _failed_attempt(error, failed, retry)


def _window(error: UnknownVersion | NotYet | OutcomeUnknown, retry: Retry) -> float:
    """For how many seconds such an error is taken for a passing one: for ever, where newer code must be deployed."""
    if isinstance(error, UnknownVersion):
        return math.inf
    return retry.patience if error.patience is None else error.patience


def _failed_attempt(error: Exception, failed: int, retry: Retry) -> Outcome:
    """Any other error is taken for a passing one: the delivery is retried some times, at growing distances."""
    if failed + 1 >= retry.tries:
        return Outcome(verdict=Verdict.DEAD, error=error, counts=True)
    return Outcome(verdict=Verdict.RETRY, error=error, seconds=retry.distance(failed), counts=True)


def _dead(error: Exception) -> Outcome:
    return Outcome(verdict=Verdict.DEAD, error=error)


def handed_back() -> Outcome:
    """Not this time: another invocation gets the message soon."""
    return Outcome(
        verdict=Verdict.RETRY,
        log="handed back",
        seconds=max(1, round(random.uniform(0, _SOON))),  # noqa: S311 - only spreads load
    )


def unsettled(error: Exception) -> Outcome:
    """The delivery could not be handled, or how it ended could not be written: the queue delivers it again."""
    return Outcome(verdict=Verdict.RETRY, error=error)


def _retry(log: str, error: Exception, seconds: int) -> Outcome:
    return Outcome(verdict=Verdict.RETRY, log=log, error=error, seconds=seconds)

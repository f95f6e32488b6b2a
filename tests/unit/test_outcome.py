"""What the end of a delivery attempt means, as a table."""

from math import inf

import pytest

from daybook.consumers.circuit_breaker import BreakerOpen
from daybook.consumers.effect_records import InProgress, NotPerformed, OutcomeUnknown
from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.outcome import Duplicate, Verdict, outcome_of
from daybook.contracts.contract import ContractBroken, UnknownVersion
from daybook.runtime.retry import Retry
from daybook.store.cursor import ConcurrentWrite
from daybook.store.transaction import OutOfTime

RETRY = Retry(max_attempts=3, max_crashes=2, first_backoff=30, max_backoff=900, retry_window=3600)
HOUR, YEAR = 3600.0, 31_536_000.0
COUNTED, FREE = True, False

# The error, failed attempts before, the age of the message; then the verdict, whether it counts, and the earliest and
# the latest second of a redelivery.
TABLE = {
    "no error": (None, 0, 0, Verdict.COMMITTED, FREE, 0, 0),
    "done before": (Duplicate(), 0, 0, Verdict.DUPLICATE, FREE, 0, 0),
    "another run was faster": (ConcurrentWrite(), 0, 0, Verdict.CURSOR_CHANGED, FREE, 0, 0),
    "no time was left": (OutOfTime(), 2, YEAR, Verdict.RETRY, FREE, 1, 5),
    "the breaker is open": (BreakerOpen(100), 2, YEAR, Verdict.RETRY, FREE, 100, 150),
    "the breaker is open for a moment": (BreakerOpen(0), 0, 0, Verdict.RETRY, FREE, 5, 8),
    "the breaker is open for days": (BreakerOpen(10**6), 0, 0, Verdict.RETRY, FREE, 39_600, 39_600),
    "newer code is needed": (UnknownVersion(), 2, YEAR, Verdict.RETRY, FREE, 450, 900),
    "its cause has not come": (RetryLater(""), 2, 60, Verdict.RETRY, FREE, 30, 60),
    "its cause has not come for too long": (RetryLater(""), 0, HOUR + 1, Verdict.DEAD, FREE, 0, 0),
    "its cause has not come, with a window of its own": (
        RetryLater("", retry_window=9),
        0,
        10,
        Verdict.DEAD,
        FREE,
        0,
        0,
    ),
    "another process is at it": (InProgress("", retry_window=inf), 0, YEAR, Verdict.RETRY, FREE, 450, 900),
    "the external system did nothing": (NotPerformed(""), 2, 0, Verdict.RETRY, FREE, 15, 30),
    "rejected": (NonRetryable(""), 0, 0, Verdict.DEAD, FREE, 0, 0),
    "breaks its contract": (ContractBroken(), 0, 0, Verdict.DEAD, FREE, 0, 0),
    "unknown for good": (OutcomeUnknown("", final=True), 0, 0, Verdict.DEAD, FREE, 0, 0),
    "unknown for good, unanswered": (OutcomeUnknown("", final=True, unanswered=True), 0, 0, Verdict.DEAD, FREE, 0, 0),
    "unanswered": (OutcomeUnknown("", final=False, unanswered=True), 2, 0, Verdict.RETRY, FREE, 15, 30),
    "unanswered for too long": (OutcomeUnknown("", final=False, unanswered=True), 0, YEAR, Verdict.DEAD, FREE, 0, 0),
    "unknown by a bug": (OutcomeUnknown("", final=False), 0, 0, Verdict.RETRY, COUNTED, 15, 30),
    "unknown by a bug, at last": (OutcomeUnknown("", final=False), 2, 0, Verdict.DEAD, COUNTED, 0, 0),
    "any error, first": (KeyError(), 0, 0, Verdict.RETRY, COUNTED, 15, 30),
    "any error, second": (KeyError(), 1, YEAR, Verdict.RETRY, COUNTED, 30, 60),
    "any error, third": (KeyError(), 2, 0, Verdict.DEAD, COUNTED, 0, 0),
}


@pytest.mark.parametrize(
    ("error", "failed", "age", "verdict", "counts", "earliest", "latest"), TABLE.values(), ids=TABLE
)
def test_an_error_decides_the_outcome_of_the_delivery(
    error: Exception | None, failed: int, age: float, verdict: Verdict, counts: bool, earliest: int, latest: int
) -> None:
    for _ in range(20):  # the time until a redelivery is drawn at random
        outcome = outcome_of(error, failed=failed, age=age, retry=RETRY)

        assert (outcome.verdict, outcome.counts) == (verdict, counts)
        assert earliest <= outcome.seconds <= latest

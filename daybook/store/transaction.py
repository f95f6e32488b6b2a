"""Calls of DynamoDB that concern several items: one TransactWriteItems, of which all happens or none, and whose refusal
says which part was to blame; one BatchGetItem, until everything is there.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from daybook.store.limits import TRANSACTION_ITEMS

MAX_WRITES = TRANSACTION_ITEMS

_CONFLICTS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
# The pause before a conflict is tried again, in seconds: doubled each time, with full jitter
# (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.5


class TooManyWrites(ValueError):
    """A unit of work writes more than one transaction can hold. Make the event, or what it sets going, smaller."""


class Refused(Exception):
    """Conditions of a transaction did not hold, and nothing was written.

    `failed` maps the names of the parts whose condition failed to the items found there, if they were asked for. The
    message does not have the names, which may hold keys of rows about people.
    """

    def __init__(self, failed: Mapping[str, Mapping[str, Any] | None]) -> None:
        super().__init__(f"the conditions of {len(failed)} parts of the transaction did not hold")
        self.failed = failed


class OutOfTime(TimeoutError):
    """Others kept writing the same rows for as long as there was time. The delivery will be tried again."""


class Pauses:
    """Growing, jittered pauses for as long as time remains. `remaining` gives the seconds that are left."""

    def __init__(self, remaining: Callable[[], float]) -> None:
        self._remaining = remaining
        self._ceiling = _FIRST_PAUSE
        self.taken = 0

    @property
    def remaining(self) -> float:
        """The seconds that are left."""
        return self._remaining()

    def pause(self) -> None:
        """Wait a little longer than last time. Raises OutOfTime when that would be too late."""
        wait = random.uniform(0, self._ceiling)  # noqa: S311 - spreads load, guards no secret
        # What follows the pause needs its time too: a run of the body and a transaction.
        if self._remaining() < wait + 1:
            msg = f"still in conflict after {self.taken + 1} tries"
            raise OutOfTime(msg)
        time.sleep(wait)
        self._ceiling = min(self._ceiling * 2, _LONGEST_PAUSE)
        self.taken += 1


def write(dynamodb: Any, parts: Mapping[str, Mapping[str, Any]], pauses: Pauses) -> None:
    """Write all parts, each with a name, or none. A mere conflict is sent again unchanged, after a pause.

    Raises Refused when conditions do not hold, OutOfTime, TooManyWrites, and botocore's errors for all else.
    """
    if len(parts) > MAX_WRITES:
        msg = f"{len(parts)} writes in one unit of work; {MAX_WRITES} are the limit"
        raise TooManyWrites(msg)
    while True:
        try:
            dynamodb.transact_write_items(TransactItems=list(parts.values()))
        except ClientError as error:
            reasons = error.response.get("CancellationReasons") or []
            failed = {
                name: reason.get("Item")
                for name, reason in zip(parts, reasons, strict=False)
                if reason.get("Code") == "ConditionalCheckFailed"
            }
            # Beside a conflict a failed condition says little: who is in the way may be about to make others fail too.
            if any(reason.get("Code") in _CONFLICTS for reason in reasons):
                pauses.pause()
            elif failed:
                raise Refused(failed) from error
            else:
                raise
        else:
            return


def batch_get(dynamodb: Any, request: Mapping[str, Any], pauses: Pauses) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The items that a BatchGetItem asks for, each with its table. What the answer left out is asked for again, after a
    pause. Raises OutOfTime.
    """
    while request:
        answer = dynamodb.batch_get_item(RequestItems=request)
        for table, items in answer["Responses"].items():
            for item in items:
                yield table, item
        request = answer.get("UnprocessedKeys") or {}
        if request:
            pauses.pause()

"""DynamoDB calls that are repeated: TransactWriteItems, with the names of the parts whose conditions failed; single
writes; and BatchGetItem, until no key is left unprocessed. A conflict with a transaction is retried after a back-off.
"""

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from daybook.store.limits import TRANSACTION_ITEMS

MAX_WRITES = TRANSACTION_ITEMS

_CONFLICTS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_ALONE_CONFLICTS = {
    "TransactionConflictException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
}
# The back-off between retries, in seconds: doubled each time, with full jitter
# (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
_FIRST_DELAY = 0.01
_MAX_DELAY = 0.5
# The retries of a single write without a back-off of its own. They take at most 1.6 seconds: less than an attempt has
# when it begins.
_MAX_WAITS = 8


class TooManyWrites(ValueError):
    """A unit of work has more writes than one transaction allows. Split the event, or the work that it causes."""


class ConditionsFailed(Exception):
    """Conditions of a transaction failed, and nothing was written.

    `failed` maps the names of the parts whose condition failed to the items that DynamoDB found, if they were
    requested. The message does not contain the names, because they may contain keys with personal data.
    """

    def __init__(self, failed: Mapping[str, Mapping[str, Any] | None]) -> None:
        super().__init__(f"the conditions of {len(failed)} parts of the transaction failed")
        self.failed = failed


class OutOfTime(TimeoutError):
    """The time ran out before the work was done, for example during retries. The delivery is retried."""


class ConditionFailed(Exception):
    """The condition of a single write failed, and nothing was written. `item` is what DynamoDB found, if it was
    requested.
    """

    def __init__(self, item: Mapping[str, Any]) -> None:
        super().__init__("the condition of the write failed")
        self.item = item


def is_conflict(error: ClientError) -> bool:
    """Whether DynamoDB rejected a single write because a transaction was in progress on its item
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling).
    """
    return bool(error.response.get("Error", {}).get("Code") == "TransactionConflictException")


class Backoff:
    """Exponential back-off with jitter, as long as time remains. `remaining` returns the remaining seconds."""

    def __init__(self, remaining: Callable[[], float]) -> None:
        self._remaining = remaining
        self._ceiling = _FIRST_DELAY
        self.waits = 0

    @property
    def remaining(self) -> float:
        """The remaining seconds."""
        return self._remaining()

    def wait(self) -> None:
        """Sleep for a random time up to the current limit, then double the limit. Raises OutOfTime instead if too
        little time remains.
        """
        delay = random.uniform(0, self._ceiling)  # noqa: S311 - spreads load, guards no secret
        # One second for what follows: another run of the body and a transaction.
        if self._remaining() < delay + 1:
            msg = f"no time is left after {self.waits + 1} attempts"
            raise OutOfTime(msg)
        time.sleep(delay)
        self._ceiling = min(self._ceiling * 2, _MAX_DELAY)
        self.waits += 1


def write(dynamodb: Any, parts: Mapping[str, Mapping[str, Any]], backoff: Backoff) -> None:
    """Write all named parts in one transaction, or none. A transaction conflict is retried after a back-off.

    Raises ConditionsFailed if conditions failed, OutOfTime, TooManyWrites, and botocore's errors.
    """
    if len(parts) > MAX_WRITES:
        msg = f"{len(parts)} writes in one unit of work; the limit is {MAX_WRITES}, so split the event or the work"
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
            # After a conflict, try all again, even if a condition failed too: the transaction in progress may still
            # make other conditions fail.
            if any(reason.get("Code") in _CONFLICTS for reason in reasons):
                backoff.wait()
            elif failed:
                raise ConditionsFailed(failed) from error
            else:
                raise
        else:
            return


def write_item(operation: Callable[..., Any], backoff: Backoff | None = None, **request: Any) -> Any:
    """Make a single write: `operation` is put_item, update_item or delete_item of a client. A conflict with a
    transaction is retried after a back-off: as long as `backoff` has time, or some times without one. Returns the
    answer.

    Raises ConditionFailed, OutOfTime, and botocore's errors.
    """
    waiting = backoff or Backoff(lambda: math.inf)
    while True:
        try:
            return operation(**request)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code == "ConditionalCheckFailedException":
                found: Any = error.response.get("Item", {})
                raise ConditionFailed(found) from error
            if code not in _ALONE_CONFLICTS:
                raise
            # botocore itself has retried all but conflicts: without a back-off of the caller, that must do.
            if backoff is None and (not is_conflict(error) or waiting.waits == _MAX_WAITS):
                raise
            waiting.wait()


def write_alone(dynamodb: Any, name: str, part: Mapping[str, Any], backoff: Backoff) -> None:
    """Write one named part of a transaction without a transaction: it consumes half as many write units
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html).

    botocore repeats a call whose answer was lost. Unlike a transaction, the repetition is a second write, so this is
    only for a part that then fails its condition, or changes nothing. Raises as `write` does.
    """
    ((kind, request),) = part.items()
    operation = {"Put": dynamodb.put_item, "Update": dynamodb.update_item}[kind]
    try:
        write_item(operation, backoff, **request)
    except ConditionFailed as failed:
        raise ConditionsFailed({name: failed.item}) from failed


def batch_get(dynamodb: Any, request: Mapping[str, Any], backoff: Backoff) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The items that a BatchGetItem request names, each with its table. Keys that DynamoDB did not process are
    requested again after a back-off. Raises OutOfTime.
    """
    while request:
        answer = dynamodb.batch_get_item(RequestItems=request)
        for table, items in answer["Responses"].items():
            for item in items:
                yield table, item
        request = answer.get("UnprocessedKeys") or {}
        if request:
            backoff.wait()

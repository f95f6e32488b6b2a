"""The errors of delivery attempts, and how they are logged.

A body raises NonRetryable if a retry cannot help (a non-retryable error), and RetryLater if the event must be retried
later, because something that it needs is not there yet. Any other error is retried with growing back-off, a limited
number of times.
"""

from collections.abc import Mapping
from traceback import extract_tb, walk_tb
from types import TracebackType
from typing import Any

from aws_lambda_powertools.logging import Logger
from botocore.exceptions import ClientError

# This system's own code: Daybook and the application's functions.
_OWN = ("daybook.", "functions.")


class NonRetryable(Exception):
    """The event can never be processed: it becomes a dead letter at once. The message must not quote the event."""


class RetryLater(Exception):
    """Something that the event needs is not there yet. It is retried later, and this is not a failed delivery attempt.

    `retry_window` is the retry window in seconds; the default is the stage's setting. After it the event is a dead
    letter.
    """

    def __init__(self, sentence: str, *, retry_window: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_window = retry_window


class NotRecorded(Exception):
    """The event store does not have the event that a message points to. publish sends only what is recorded, so the
    message may be forged. It becomes a dead letter at once.
    """


class ProcessDied(Exception):
    """The process died each time it handled the message: out of memory, timed out, or killed."""


def kind(error: BaseException) -> str:
    """The kind of an error, for grouping: its class name, or the code of an AWS error."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "ClientError"))
    return type(error).__name__


def reason(error: BaseException) -> str:
    """A description of the error that never quotes input: the message of this system's own errors, else the place where
    the error arose.
    """
    if isinstance(error, ClientError):
        return f"{kind(error)} on {error.operation_name}"
    if type(error).__module__.startswith(_OWN):
        return str(error)
    return f"{type(error).__name__} at {_place(error.__traceback__)}"


def frames(error: BaseException) -> list[str]:
    """The stack frames of the error and its causes, without their messages, which may quote the event."""
    lines: list[str] = []
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause and cause not in causes:
        lines += [f"caused by {kind(cause)}"] if causes else []
        lines += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(cause.__traceback__)]
        causes.append(cause)
        cause = cause.__cause__
    return lines


def log_failure(log: Logger, about: Mapping[str, Any], error: BaseException) -> None:
    """Log an error with the place where it arose, and without its message, which may quote the event."""
    failure = {"error": kind(error), "reason": reason(error), "error_location": _place(error.__traceback__)}
    log.error("failed", extra={**about, **failure, "frames": frames(error)})


def _place(trace: TracebackType | None) -> str:
    """The innermost frame in this system's own code or, without one, the innermost frame."""
    at = [(str(frame.f_globals.get("__name__", "")), frame.f_code.co_filename, line) for frame, line in walk_tb(trace)]
    if not at:
        return "an unknown place"
    if own := [(module, line) for module, _, line in at if module.startswith(_OWN)]:
        module, line = own[-1]
        return f"{module.replace('.', '/')}.py:{line}"
    _, file, line = at[-1]
    return f"{file.rpartition('/')[2]}:{line}"

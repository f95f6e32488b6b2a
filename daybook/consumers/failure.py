"""What can go wrong with a delivery, and how it comes again.

A body raises Rejected for what no repetition will mend, and NotYet for what has overtaken its cause. All other errors
are taken for passing ones: the delivery is tried again, some times, at growing distances.
"""

from collections.abc import Mapping
from traceback import extract_tb, walk_tb
from types import TracebackType
from typing import Any

from aws_lambda_powertools.logging import Logger
from botocore.exceptions import ClientError

# This system's own code: Daybook, and the application's functions.
_OWN = ("daybook.", "functions.")


class Rejected(Exception):
    """The event can never be processed: it goes to the dead letters at once. The sentence must not quote the event."""


class NotYet(Exception):
    """What the event needs is not there yet, because the event has overtaken it. It comes again, without counting.

    `patience` is for how many seconds that is believed; unless given, as long as the stage's settings say.
    """

    def __init__(self, sentence: str, *, patience: float | None = None) -> None:
        super().__init__(sentence)
        self.patience = patience


class ProcessDied(Exception):
    """The process died each time while it handled the message: out of memory, out of time, or killed."""


def kind(error: BaseException) -> str:
    """The kind of an error, to group by: its class, and for AWS's errors their code."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "ClientError"))
    return type(error).__name__


def reason(error: BaseException) -> str:
    """A sentence on the error that quotes no input: its author's, if it is this system's own, else where it arose."""
    if isinstance(error, ClientError):
        return f"{kind(error)} on {error.operation_name}"
    if type(error).__module__.startswith(_OWN):
        return str(error)
    return f"{type(error).__name__} at {_place(error.__traceback__)}"


def frames(error: BaseException) -> list[str]:
    """Where the error and its causes arose, frame by frame, without their messages: these may quote the event."""
    told: list[str] = []
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause and cause not in causes:
        told += [f"because of {kind(cause)}"] if causes else []
        told += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(cause.__traceback__)]
        causes.append(cause)
        cause = cause.__cause__
    return told


def log_failure(log: Logger, about: Mapping[str, Any], error: BaseException) -> None:
    """Log an error with the place where it arose, and without its message, which may quote the event."""
    told = {"error": kind(error), "reason": reason(error), "error_location": _place(error.__traceback__)}
    log.error("failed", extra={**about, **told, "frames": frames(error)})


def _place(trace: TracebackType | None) -> str:
    """The innermost place in this system's own code, or else the innermost of all."""
    at = [(str(frame.f_globals.get("__name__", "")), frame.f_code.co_filename, line) for frame, line in walk_tb(trace)]
    if not at:
        return "an unknown place"
    if own := [(module, line) for module, _, line in at if module.startswith(_OWN)]:
        module, line = own[-1]
        return f"{module.replace('.', '/')}.py:{line}"
    _, file, line = at[-1]
    return f"{file.rpartition('/')[2]}:{line}"

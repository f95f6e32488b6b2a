"""What can go wrong with a delivery, and how it comes again.

A body raises Rejected for what no repetition will mend, and NotYet for what has overtaken its cause. All other errors
are taken for passing ones: the delivery is tried again, some times, at growing distances.
"""

import json
import random
import traceback
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

from botocore.exceptions import ClientError


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How deliveries come again in a stage. Distances and patience are in seconds."""

    tries: int  # the last of them ends among the dead letters
    crashes: int  # how often a process may die of one message
    first: int  # distance between the first two tries
    longest: int  # and the most that it grows to
    patience: int  # how long NotYet is believed

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The settings as a function's environment holds them."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """The settings for a function's environment."""
        return json.dumps(asdict(self))

    def distance(self, before: int) -> int:
        """Seconds until the next try, after so many before: doubled each time, half of it by chance."""
        return self._jittered(min(self.first * 2**before, self.longest))

    def wait(self, age: float) -> int:
        """Seconds until what is not there yet is looked for again, by the message's age: the older, the longer."""
        return self._jittered(min(max(age, self.first), self.longest))

    @staticmethod
    def _jittered(seconds: float) -> int:
        return max(1, round(seconds * random.uniform(0.5, 1)))  # noqa: S311 - spreads load, guards no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """How breakers work in a stage. Pauses are in seconds."""

    failures: int  # so many in a row open it
    first: int  # the pause before the first try
    longest: int  # it doubles with each try that fails, up to this

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The settings as a function's environment holds them."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """The settings for a function's environment."""
        return json.dumps(asdict(self))


def kind(error: BaseException) -> str:
    """The kind of an error, to group by: its class, and for AWS's errors their code."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "ClientError"))
    return type(error).__name__


def reason(error: BaseException) -> str:
    """A sentence on the error that quotes no input: its author's, if it is this system's own, else where it arose."""
    if isinstance(error, ClientError):
        return f"{kind(error)} on {error.operation_name}"
    if type(error).__module__.startswith(("backbone.", "functions.")):
        return str(error)
    return f"{type(error).__name__} at {_place(error.__traceback__)}"


def frames(error: BaseException) -> list[str]:
    """Where the error and its causes arose, frame by frame, without their messages: these may quote the event."""
    told: list[str] = []
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause and cause not in causes:
        told += [f"because of {kind(cause)}"] if causes else []
        told += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(cause.__traceback__)]
        causes.append(cause)
        cause = cause.__cause__
    return told


def _place(trace: TracebackType | None) -> str:
    """The innermost place in this system's own code."""
    found = traceback.extract_tb(trace)
    own = [frame for frame in found if "/functions/" in frame.filename or "/backbone/" in frame.filename] or found
    if not own:
        return "an unknown place"
    file = own[-1].filename
    start = max(file.rfind("/functions/"), file.rfind("/backbone/"), file.rfind("/") - 1)
    return f"{file[start + 1 :]}:{own[-1].lineno}"

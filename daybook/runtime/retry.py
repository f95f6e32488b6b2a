"""Settings of retries and circuit breakers, which a function reads from its environment."""

import json
import random
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The retry settings of a stage. Back-off and retry window are in seconds."""

    max_attempts: int  # delivery attempts; if the last one fails, the message becomes a dead letter
    max_crashes: int  # how often a process may die in an attempt at one message whose begin it has noted
    first_backoff: int  # after the first failed attempt
    max_backoff: int
    retry_window: int  # the retry window of RetryLater

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The settings in a function's environment."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """The settings for a function's environment."""
        return json.dumps(asdict(self))

    def backoff(self, failed: int) -> int:
        """The back-off in seconds after a failed attempt and `failed` earlier ones: doubled each time, half of it
        random ("equal jitter": https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        """
        return self._jittered(min(self.first_backoff * 2**failed, self.max_backoff))

    def waiting_backoff(self, age: float) -> int:
        """The back-off in seconds of a delivery that must wait (RetryLater). It grows with the message's age in
        seconds.
        """
        return self._jittered(min(max(age, self.first_backoff), self.max_backoff))

    @staticmethod
    def _jittered(seconds: float) -> int:
        return max(1, round(seconds * random.uniform(0.5, 1)))  # noqa: S311 - spreads load, guards no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """The circuit breaker settings of a stage. Times are in seconds."""

    failure_threshold: int  # the number of consecutive failures that opens the breaker
    first_open_time: int  # how long it is open before the first trial call
    max_open_time: int  # the maximum: the time doubles with each failed trial call

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The settings in a function's environment."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """The settings for a function's environment."""
        return json.dumps(asdict(self))

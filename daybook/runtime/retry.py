"""How deliveries are retried in a stage, and how its breakers work: settings in a function's environment."""

import json
import random
from dataclasses import asdict, dataclass
from typing import Self


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

"""What a deployed function is told by its environment. The only place that reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from daybook.runtime.names import Names
from daybook.runtime.retry import BreakerSettings, Retry

STAGE = "DAYBOOK_STAGE"
QUEUE = "DAYBOOK_QUEUE_URL"
DEAD_LETTERS = "DAYBOOK_DEAD_LETTER_QUEUE_URL"
RETRY = "DAYBOOK_RETRY"
BODIES = "DAYBOOK_BODIES_BUCKET"
CALL_TIMEOUT = "DAYBOOK_CALL_TIMEOUT"
BREAKER = "DAYBOOK_BREAKER"
# What the function is, for those who operate it (see Consumer.description). No function reads it.
CONSUMER = "DAYBOOK_CONSUMER"


def table_variable(table: str) -> str:
    """The variable that holds the generated name of a service's table: `DAYBOOK_TABLE_ORDER_STATUS`."""
    return "DAYBOOK_TABLE_" + table.upper().replace("-", "_")


def option_variable(option: str) -> str:
    """The variable that holds what a stack's line hands to a function: `DAYBOOK_OPTION_SENDER`."""
    return "DAYBOOK_OPTION_" + option.upper().replace("-", "_")


class SettingMissing(LookupError):
    """The function's environment lacks a variable that its stack should have set. Compare the stack's line."""

    def __init__(self, variable: str) -> None:
        super().__init__(f"the environment variable {variable} is not set; does the stack's line name what is used?")


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of one function."""

    environment: Mapping[str, str]

    @property
    def names(self) -> Names:
        """The names of the stage that the function belongs to."""
        return Names(self._read(STAGE))

    @property
    def queue_url(self) -> str:
        """The queue that the function's messages come from."""
        return self._read(QUEUE)

    @property
    def retry(self) -> Retry:
        """How failed deliveries come again."""
        return Retry.from_json(self._read(RETRY))

    @property
    def bodies_bucket(self) -> str:
        """Where the bodies of dead letters are kept that are too large for the ledger."""
        return self._read(BODIES)

    @property
    def dead_letter_queue_url(self) -> str:
        """Where the function puts what it cannot process."""
        return self._read(DEAD_LETTERS)

    def table(self, table: str) -> str:
        """The deployed name of a service's table."""
        return self._read(table_variable(table))

    @property
    def call_timeout(self) -> float:
        """How many seconds an effect waits for one answer from the world outside."""
        return float(self._read(CALL_TIMEOUT))

    @property
    def breaker(self) -> BreakerSettings:
        """How an effect leaves alone what does not answer."""
        return BreakerSettings.from_json(self._read(BREAKER))

    def option(self, option: str) -> str:
        """What the stack's line hands to the function under that name."""
        return self._read(option_variable(option))

    def _read(self, variable: str) -> str:
        try:
            return self.environment[variable]
        except KeyError:
            raise SettingMissing(variable) from None


@cache
def settings() -> Settings:
    """This process's settings."""
    return Settings(dict(os.environ))

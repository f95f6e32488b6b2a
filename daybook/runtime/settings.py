"""The settings of a deployed function, from its environment variables. No other module reads them."""

import json
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
# The account and region of each source, as JSON (see daybook.backbone.origins).
ORIGINS = "DAYBOOK_ORIGINS"
# The types of events whose data are on the event bus, as JSON (see Event, `shared`).
SHARED = "DAYBOOK_SHARED_TYPES"
CALL_TIMEOUT = "DAYBOOK_CALL_TIMEOUT"
BREAKER = "DAYBOOK_BREAKER"
# The types of events with `timer=True`, as a JSON list.
TIMERS = "DAYBOOK_TIMERS"
# Describes the consumer, for the operator's commands (see Consumer.description). Functions do not read it.
CONSUMER = "DAYBOOK_CONSUMER"


def table_variable(table: str) -> str:
    """The variable with the generated name of a service's table: `DAYBOOK_TABLE_ORDER_STATUS`."""
    return "DAYBOOK_TABLE_" + table.upper().replace("-", "_")


def option_variable(option: str) -> str:
    """The variable with an option that a stack passes to a function: `DAYBOOK_OPTION_SENDER`."""
    return "DAYBOOK_OPTION_" + option.upper().replace("-", "_")


class SettingMissing(LookupError):
    """An environment variable of the function is not set. Its declaration in the stack must name what it uses."""

    def __init__(self, variable: str) -> None:
        super().__init__(
            f"the environment variable {variable} is not set; the function's declaration in its stack must name it"
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of one function."""

    environment: Mapping[str, str]

    @property
    def names(self) -> Names:
        """The names of the function's stage."""
        return Names(self._read(STAGE))

    @property
    def queue_url(self) -> str:
        """The queue from which the function receives messages."""
        return self._read(QUEUE)

    @property
    def retry(self) -> Retry:
        """The settings of retries."""
        return Retry.from_json(self._read(RETRY))

    @property
    def bodies_bucket(self) -> str:
        """The bucket for the bodies of dead letters that are too large for the ledger."""
        return self._read(BODIES)

    @property
    def origins(self) -> str:
        """The account and region from which the events of each source come, as JSON."""
        return self._read(ORIGINS)

    @property
    def shared_types(self) -> frozenset[str]:
        """The types of events whose data are on the event bus."""
        return frozenset(json.loads(self._read(SHARED)))

    @property
    def dead_letter_queue_url(self) -> str:
        """The queue for messages that the function cannot process."""
        return self._read(DEAD_LETTERS)

    def table(self, table: str) -> str:
        """The deployed name of a service's table."""
        return self._read(table_variable(table))

    @property
    def call_timeout(self) -> float:
        """How many seconds an effect waits for an answer from an external system."""
        return float(self._read(CALL_TIMEOUT))

    @property
    def breaker(self) -> BreakerSettings:
        """The settings of an effect's circuit breaker."""
        return BreakerSettings.from_json(self._read(BREAKER))

    @property
    def timers(self) -> frozenset[str]:
        """The types of events that only timers record."""
        return frozenset(json.loads(self._read(TIMERS)))

    def option(self, option: str) -> str:
        """The option with this name that the stack passes to the function."""
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

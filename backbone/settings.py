"""What a deployed function is told by its environment. The only place that reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from backbone.names import Names

STAGE = "DAYBOOK_STAGE"
DEAD_LETTERS = "DAYBOOK_DEAD_LETTER_QUEUE_URL"


def table_variable(table: str) -> str:
    """The variable that holds the generated name of a service's table: `DAYBOOK_TABLE_ORDER_STATUS`."""
    return "DAYBOOK_TABLE_" + table.upper().replace("-", "_")


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
        return Names(self._read(STAGE))

    @property
    def dead_letter_queue_url(self) -> str:
        return self._read(DEAD_LETTERS)

    def table(self, table: str) -> str:
        """The deployed name of a service's table."""
        return self._read(table_variable(table))

    def _read(self, variable: str) -> str:
        try:
            return self.environment[variable]
        except KeyError:
            raise SettingMissing(variable) from None


@cache
def settings() -> Settings:
    """This process's settings."""
    return Settings(dict(os.environ))

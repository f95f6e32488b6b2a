"""The accounts and regions from which events of external producers may come."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Origins:
    """The account and region of each source (`123456789012/eu-central-1`); that of the source "" is for all others."""

    listed: Mapping[str, str]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From a function's settings."""
        return cls(json.loads(text))

    def allow(self, source: str, account: str, region: str) -> bool:
        """Whether events of this source may come from this account and region. EventBridge writes both into an event;
        no producer can choose them.
        """
        return self.listed.get(source, self.listed[""]) == f"{account}/{region}"

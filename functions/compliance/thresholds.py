"""Thresholds for cash, by currency and first business day, and the built-in ones for currencies without any."""

from collections.abc import Mapping
from datetime import date
from typing import Final, TypeVar

from daybook.contracts.contract import Part
from daybook.store.state import State
from events.compliance import Threshold

T = TypeVar("T")

# 31 CFR 1010.311 (https://www.law.cornell.edu/cfr/text/31/1010.311): "a transaction in currency of more than $10,000".
# The rule covers the currency of any country (1010.100(m)): cash is converted into dollars by a rate. Without a rate it
# is compared with a threshold of its own currency, if the compliance department sets one. Margin, days and the sum over
# days (twice the amount) are our own choice, without a source: the compliance department must review them.
BUILT_IN: Final[Mapping[str, Threshold]] = {"USD": Threshold(amount=10_000_00, margin=1_000_00, days=7)}


class Revised(Part):
    """A threshold and its revision."""

    threshold: Threshold
    revision: int


class ThresholdRow(State, table="thresholds", key="currency"):
    """All thresholds of one currency, by the first day on which each applies."""

    currency: str
    since: dict[date, Revised] = {}


def threshold_on(row: ThresholdRow, day: date) -> Threshold | None:
    """The threshold on that business day, if there is one."""
    found = newest(row.since, day)
    return found.threshold if found else BUILT_IN.get(row.currency)


def newest(since: Mapping[date, T], day: date) -> T | None:
    """The value with the newest first day that is not after `day`, if there is one."""
    started = [first for first in since if first <= day]
    return since[max(started)] if started else None

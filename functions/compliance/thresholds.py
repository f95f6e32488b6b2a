"""Thresholds for cash: by currency, each from a business day on; where none was set, those built in here."""

from collections.abc import Mapping
from datetime import date
from typing import Final

from daybook.contracts.contract import Part
from daybook.store.state import State
from events.compliance import Threshold

# 31 CFR 1010.311 (https://www.law.cornell.edu/cfr/text/31/1010.311): "a transaction in currency of more than $10,000".
# Currency is that of any country (1010.100), so for cash of others compliance sets what that comes to. Margin and days
# have no source: the house's own, to be reviewed by compliance.
BUILT_IN: Final[Mapping[str, Threshold]] = {"USD": Threshold(amount=10_000_00, margin=1_000_00, days=7)}


class Revised(Part):
    """A threshold at a revision of it."""

    threshold: Threshold
    revision: int


class ThresholdRow(State, table="thresholds", key="currency"):
    """All thresholds of one currency, by the first day that they hold on."""

    currency: str
    since: dict[date, Revised] = {}


def in_force(row: ThresholdRow, day: date) -> Threshold | None:
    """The threshold that holds on that business day, if there is one."""
    begun = [first for first in row.since if first <= day]
    return row.since[max(begun)].threshold if begun else BUILT_IN.get(row.currency)

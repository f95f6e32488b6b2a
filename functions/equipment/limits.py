"""Alarm limits. In order of precedence: those of the device, of its ward, those for everywhere, the built-in ones."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from daybook.contracts.contract import Part
from daybook.store.state import State
from events.equipment import AlarmLimits

# Görges, Markewitz, Westenskow: Improving alarm performance in the medical intensive care unit using delays and
# clinical context. Anesth Analg 2009;108:1546-52: a delay of 14 s would remove half of the ignored and ineffective
# alarms, one of 19 s two thirds.
_DELAY: Final = 15  # seconds

# No source: this hospital's own values, to be reviewed by clinical engineering. So are the margins below.
HOLD: Final = 30  # seconds
ACKNOWLEDGE_WITHIN: Final = 120  # seconds


def _limits(low: float | None, high: float | None, *, margin: float) -> AlarmLimits:
    return AlarmLimits(
        low=low, high=high, margin=margin, delay=_DELAY, hold=HOLD, acknowledge_within=ACKNOWLEDGE_WITHIN
    )


# Royal College of Physicians: National Early Warning Score (NEWS) 2. London: RCP, 2017, chart 1: the values that score
# 3 (a red score) in a single parameter. They are for adults. A children's ward sets its own.
BUILT_IN: Final[Mapping[str, AlarmLimits]] = {
    "9279-1": _limits(8, 25, margin=2),
    "59408-5": _limits(91, None, margin=1),  # scale 1; patients with hypercapnic failure need scale 2, set by the ward
    "8480-6": _limits(90, 220, margin=5),
    "8867-4": _limits(40, 131, margin=5),
    "8889-8": _limits(40, 131, margin=5),  # the same pulse, by another sensor
    "8310-5": _limits(35.0, 39.1, margin=0.2),  # the high limit scores 2, the most that a high temperature scores
}

# Every value is in range.
UNLIMITED: Final = AlarmLimits.model_construct(
    low=None, high=None, margin=Decimal(0), delay=0, hold=HOLD, acknowledge_within=ACKNOWLEDGE_WITHIN
)


class RevisedLimits(Part):
    """Limits and their revision."""

    limits: AlarmLimits
    revision: int


class ScopeLimits(State, table="limits", key="applies_to"):
    """All limits that were set for one scope, by the code of the vital sign."""

    applies_to: str
    by_code: dict[str, RevisedLimits] = {}


def scopes(device_id: str, ward: str) -> list[str]:
    """The scopes that include a device, in order of precedence."""
    return [f"device:{device_id}", f"ward:{ward}", "everywhere"]


def limits_for(code: str, rows: Iterable[ScopeLimits]) -> AlarmLimits:
    """The limits that apply to a vital sign. `rows` are those of the device's scopes, in order of precedence."""
    return next((row.by_code[code].limits for row in rows if code in row.by_code), BUILT_IN.get(code, UNLIMITED))

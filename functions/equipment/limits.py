"""Limits: when a reading is alarming. The narrowest that were set apply; where none were, those built in here."""

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

# No source: the house's own, to be reviewed by clinical engineering. So are the margins below.
HOLD: Final = 30  # seconds
ACKNOWLEDGE_WITHIN: Final = 120  # seconds


def _limits(low: float | None, high: float | None, *, margin: float) -> AlarmLimits:
    return AlarmLimits(
        low=low, high=high, margin=margin, delay=_DELAY, hold=HOLD, acknowledge_within=ACKNOWLEDGE_WITHIN
    )


# Royal College of Physicians: National Early Warning Score (NEWS) 2. London: RCP, 2017, chart 1: what scores 3, a red
# score, in one parameter alone. They are for adults; a children's ward sets its own.
BUILT_IN: Final[Mapping[str, AlarmLimits]] = {
    "9279-1": _limits(8, 25, margin=2),
    "59408-5": _limits(91, None, margin=1),  # scale 1; patients with hypercapnic failure need scale 2, set by the ward
    "8480-6": _limits(90, 220, margin=5),
    "8867-4": _limits(40, 131, margin=5),
    "8889-8": _limits(40, 131, margin=5),  # the same pulse, by another sensor
    "8310-5": _limits(35.0, 39.1, margin=0.2),  # the upper one scores 2, the most that a high temperature does
}

# Whatever is measured is well inside.
UNLIMITED: Final = AlarmLimits.model_construct(
    low=None, high=None, margin=Decimal(0), delay=0, hold=HOLD, acknowledge_within=ACKNOWLEDGE_WITHIN
)


class Revised(Part):
    """Limits at a revision of theirs."""

    limits: AlarmLimits
    revision: int


class LimitsRow(State, table="limits", key="applies_to"):
    """All limits that were set for one scope, by code."""

    applies_to: str
    of: dict[str, Revised] = {}


def scopes(device_id: str, ward: str) -> list[str]:
    """For what limits of this device may have been set, the narrowest first."""
    return [f"device:{device_id}", f"ward:{ward}", "everywhere"]


def in_force(code: str, rows: Iterable[LimitsRow]) -> AlarmLimits:
    """The limits of this code, by the rows of a device's scopes, the narrowest first."""
    return next((row.of[code].limits for row in rows if code in row.of), BUILT_IN.get(code, UNLIMITED))

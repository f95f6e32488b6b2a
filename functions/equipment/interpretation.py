"""What a reading means: a value of a vital sign in its unit, or the reason why it cannot be judged."""

from dataclasses import dataclass
from decimal import Decimal

from events.equipment import EquipmentStatusReported, UnjudgedReason
from events.vitals import KINDS, Kind, Reading, kind_of, rounded_to_places
from functions.equipment.units import convert, convertible

BATTERY = "battery"


@dataclass(frozen=True, slots=True)
class Measured:
    """A value that can be judged, in the unit of its vital sign. `rounded`: the device sent more decimal places."""

    code: str  # as sent
    kind: Kind
    value: Decimal
    rounded: bool


@dataclass(frozen=True, slots=True)
class NotJudged:
    """A reading that nobody judges: why, and what would be judged."""

    reading: Reading
    name: str
    reason: UnjudgedReason
    expected: str


def interpret(reading: Reading) -> Measured | NotJudged:
    """The value of a vital sign, or why the reading cannot be judged."""
    kind = kind_of(reading.code)
    if kind is None:
        expected = f"a code of a vital sign: {', '.join(KINDS)}, or an equivalent one (docs/gateway.md)"
        return NotJudged(reading, "", "unknown_code", expected)
    if reading.value is None:
        return NotJudged(reading, kind.name, "not_a_number", f"{kind}; send a JSON number, or leave the reading out")
    value = convert(reading.value, reading.unit, kind.unit)
    if value is None:
        units = ", ".join(convertible(kind.unit))
        return NotJudged(reading, kind.name, "other_unit", f"{kind}; these units are converted: {units}")
    if not kind.can_be(value):
        return NotJudged(reading, kind.name, "impossible_value", f"{kind}; leave a reading without a value out")
    return Measured(reading.code, kind, rounded_to_places(value), reading.value != rounded_to_places(reading.value))


def no_limits(reading: Reading, kind: Kind) -> NotJudged:
    """A possible value for which no limits are set."""
    expected = f"limits for {kind.code} ({kind.name}): send AlarmLimitsSet for the device, its ward or everywhere"
    return NotJudged(reading, kind.name, "no_limits", expected)


def charge(report: EquipmentStatusReported) -> int | None:
    """The charge of the battery in percent. None if the device has no battery or sends an impossible charge."""
    return round(report.battery) if report.battery is not None and 0 <= report.battery <= 100 else None  # noqa: PLR2004


def battery_not_judged(report: EquipmentStatusReported) -> NotJudged | None:
    """The report's battery if its charge is impossible."""
    if report.battery is None or charge(report) is not None:
        return None
    reading = Reading(code=BATTERY, unit="%", value=report.battery)
    return NotJudged(reading, BATTERY, "impossible_value", "battery is in %, from 0 to 100, or null without a battery")

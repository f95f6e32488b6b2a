"""What bedside devices measure: readings, the kinds of them that this system knows, and the units that they come in.

Codes are LOINC's (https://loinc.org), units UCUM's (https://ucum.org). Numbers are exact: the digits that the device
sent, never the nearest float.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from daybook.contracts.contract import Part


def _exact(value: object) -> Decimal:
    """A JSON number as its digits stand there. 15 of them survive any reader that keeps numbers as floats."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        msg = "must be a number"
        raise ValueError(msg)  # noqa: TRY004 - of the errors that are told, it is the one with a sentence
    return Decimal(str(value))


def _as_json(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


Number = Annotated[
    Decimal,
    Field(max_digits=12, decimal_places=6),
    BeforeValidator(_exact),
    PlainSerializer(_as_json, return_type=int | float, when_used="json"),
]
Code = Annotated[
    str, Field(max_length=10, pattern=r"^[0-9]{1,8}-[0-9]$", description="LOINC code of what is measured: 8867-4.")
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of reading that this system knows: what it is called, its one unit, and what it can possibly be.

    The range is wide on purpose: a number outside of it is no patient's, but an error of the device or its interface.
    """

    code: str
    name: str
    unit: str
    lowest: Decimal
    highest: Decimal

    def holds(self, value: Decimal) -> bool:
        """Whether it can possibly be so much."""
        return self.lowest <= value <= self.highest

    def __str__(self) -> str:
        """All that a device must know to send it."""
        return f"{self.code} ({self.name}) is in {self.unit}, from {self.lowest} to {self.highest}"


def _kinds(*rows: tuple[str, str, str, int, int]) -> Mapping[str, Kind]:
    return {
        code: Kind(code, name, unit, Decimal(lowest), Decimal(highest)) for code, name, unit, lowest, highest in rows
    }


# Codes and units of the vital signs are those of FHIR's profiles (https://hl7.org/fhir/R4/observation-vitalsigns.html),
# pulse oximetry's of US Core. The ranges are the house's own.
KINDS: Final = _kinds(
    ("8867-4", "heart rate", "/min", 0, 400),
    ("8889-8", "pulse rate by pulse oximetry", "/min", 0, 400),
    ("59408-5", "oxygen saturation by pulse oximetry", "%", 0, 100),
    ("9279-1", "respiratory rate", "/min", 0, 200),
    ("8310-5", "body temperature", "Cel", 0, 50),
    ("8480-6", "systolic blood pressure", "mm[Hg]", 0, 500),
    ("8462-4", "diastolic blood pressure", "mm[Hg]", 0, 500),
    ("8478-0", "mean blood pressure", "mm[Hg]", 0, 500),
    ("19891-1", "end-tidal carbon dioxide", "mm[Hg]", 0, 200),
)

# Of monitors, oximeters, ventilators, pumps, scales and glucose meters.
_UNITS = (
    "% 1 /min /h Cel [degF] mm[Hg] kPa Pa hPa mbar cm[H2O] L mL L/min mL/min mL/h mL/kg mL/kg/h mL/cm[H2O] "
    "cm[H2O]/L/s kg g mg ug mg/h mg/kg/h ug/kg/min ug/h [IU]/h mmol/L mg/dL g/dL g/L meq/L cm m s ms min h d "
    "mV uV mA Ohm W J dB Hz m/s"
)
UNITS: Final = frozenset(_UNITS.split())


class Reading(Part):
    """One measured value. One of a kind that is not known here is kept, and not judged."""

    code: Code
    unit: str = Field(max_length=32, description="UCUM unit: mm[Hg].")
    value: Number = Field(description="The number, exactly as it was measured.")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        kind = KINDS.get(self.code)
        if kind and (self.unit != kind.unit or not kind.holds(self.value)):
            raise ValueError(str(kind))
        if not kind and self.unit not in UNITS:
            msg = f"the unit of a code that is not known here must be one of these: {' '.join(sorted(UNITS))}"
            raise ValueError(msg)
        return self

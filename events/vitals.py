"""Readings of bedside devices, and the vital signs that this system judges.

Codes are LOINC codes (https://loinc.org) or IEEE 11073 (MDC) codes, units are UCUM units (https://ucum.org). A number
keeps the digits that the device sent; it never becomes the nearest float.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from daybook.contracts.contract import Part


def _exact(value: object) -> Decimal:
    """A JSON number with its own digits. A JSON reader that uses floats keeps 15 of them."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        msg = "must be a number"
        raise ValueError(msg)  # noqa: TRY004 - pydantic reports only a ValueError with its text
    return Decimal(str(value))


def _as_json(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


_PLACES: Final = 6  # the most decimal places that this system stores
_TOO_LARGE: Final = Decimal(10) ** 12

Number = Annotated[
    Decimal,
    Field(max_digits=12, decimal_places=_PLACES),
    BeforeValidator(_exact),
    PlainSerializer(_as_json, return_type=int | float, when_used="json"),
]
Code = Annotated[
    str, Field(max_length=10, pattern=r"^[0-9]{1,8}-[0-9]$", description="LOINC code of the reading: 8867-4.")
]


def rounded_to_places(value: Decimal) -> Decimal:
    """The value with at most the number of decimal places that this system stores."""
    return value if -_exponent(value) <= _PLACES else round(value, _PLACES)


def places_of(value: Decimal) -> int:
    """The number of decimal places of a value: 1 for 36.6, 0 for 1E+2."""
    return max(0, -_exponent(value.normalize()))


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


@dataclass(frozen=True, slots=True)
class Kind:
    """A vital sign that this system judges: its LOINC code, name, unit, and the range of possible values.

    The range is wide on purpose: a value outside it is an error of the device or its interface, or a number by which a
    sensor says that it has no value (127, 32767). `places` are the decimal places with which a chart shows it.
    """

    code: str
    name: str
    unit: str
    lowest: Decimal
    highest: Decimal
    places: int

    def can_be(self, value: Decimal) -> bool:
        """Whether the value is possible."""
        return self.lowest <= value <= self.highest

    def __str__(self) -> str:
        """What a device must send: code, unit and range."""
        return f"{self.code} ({self.name}) is in {self.unit}, from {self.lowest} to {self.highest}"


def _kinds(*rows: tuple[str, str, str, int, int, int]) -> Mapping[str, Kind]:
    return {
        code: Kind(code, name, unit, Decimal(lowest), Decimal(highest), places)
        for code, name, unit, lowest, highest, places in rows
    }


# Codes and units of vital signs are from FHIR's profiles (https://hl7.org/fhir/R4/observation-vitalsigns.html),
# those of pulse oximetry are from US Core. The ranges have no source: they are this hospital's own. The decimal places
# are those of the chart of NEWS2 (see limits.py): whole numbers, and one place for temperatures.
KINDS: Final = _kinds(
    ("8867-4", "heart rate", "/min", 0, 400, 0),
    ("8889-8", "pulse rate by pulse oximetry", "/min", 0, 400, 0),
    ("59408-5", "oxygen saturation by pulse oximetry", "%", 0, 100, 0),
    ("9279-1", "respiratory rate", "/min", 0, 200, 0),
    ("8310-5", "body temperature", "Cel", 0, 50, 1),
    ("8480-6", "systolic blood pressure", "mm[Hg]", 0, 500, 0),
    ("8462-4", "diastolic blood pressure", "mm[Hg]", 0, 500, 0),
    ("8478-0", "mean blood pressure", "mm[Hg]", 0, 500, 0),
    # LOINC does not say which of the three pressures this code means. So it has limits of its own.
    ("76533-9", "blood pressure by cuff", "mm[Hg]", 0, 500, 0),
    ("19891-1", "end-tidal carbon dioxide", "mm[Hg]", 0, 200, 0),
)

# Other LOINC codes of the same vital signs: another method or another place of the body. Sources: FHIR's vital signs
# require 2708-6; the others are those of the German profiles for intensive care (https://simplifier.net/isik-vitalparameter
# and https://simplifier.net/mii-modul-icu), named as in https://loinc.org.
_LOINC: Final = {
    "8867-4": "76282-3 76477-9",  # by electrocardiogram, noninvasive
    "59408-5": "2708-6",  # in arterial blood
    # Oral, core, rectal, tympanic, axillary, in the bladder, the oesophagus, the blood and the nasopharynx.
    "8310-5": "8331-1 8329-5 8332-9 8333-7 8328-7 8334-5 60836-4 60834-9 60838-0",
    "8480-6": "76534-7 76215-3",  # noninvasive, invasive
    "8462-4": "76535-4 76213-8",
    "8478-0": "76536-2 76214-6",
}

# IEEE 11073-10101 (https://rtmms.nist.gov), number and name. The LOINC codes are those of the German profiles above.
# MDC_TEMP (150344) is not here: it does not say where the sensor is, and the skin is colder than the body.
_MDC: Final = {
    "8867-4": "147842 MDC_ECG_HEART_RATE MDC_ECG_CARD_BEAT_RATE 149546 MDC_PULS_RATE_NON_INV",
    "8889-8": "149530 MDC_PULS_OXIM_PULS_RATE",
    "59408-5": "150456 MDC_PULS_OXIM_SAT_O2 150324 MDC_SAT_O2_ART",
    "9279-1": "151562 MDC_RESP_RATE 151578 MDC_TTHOR_RESP_RATE 151594 MDC_CO2_RESP_RATE",
    "8310-5": (
        "150364 MDC_TEMP_BODY 150368 MDC_TEMP_CORE 150372 MDC_TEMP_ESOPH 150380 MDC_TEMP_NASOPH 150392 MDC_TEMP_TYMP "
        "188420 MDC_TEMP_RECT 188424 MDC_TEMP_ORAL 188452 MDC_TEMP_AXILLA"
    ),
    "8480-6": (
        "150017 MDC_PRESS_BLD_SYS 150021 MDC_PRESS_BLD_NONINV_SYS 150033 MDC_PRESS_BLD_ART_SYS "
        "150037 MDC_PRESS_BLD_ART_ABP_SYS 150301 MDC_PRESS_CUFF_SYS"
    ),
    "8462-4": (
        "150018 MDC_PRESS_BLD_DIA 150022 MDC_PRESS_BLD_NONINV_DIA 150034 MDC_PRESS_BLD_ART_DIA "
        "150038 MDC_PRESS_BLD_ART_ABP_DIA 150302 MDC_PRESS_CUFF_DIA"
    ),
    "8478-0": (
        "150019 MDC_PRESS_BLD_MEAN 150023 MDC_PRESS_BLD_NONINV_MEAN 150035 MDC_PRESS_BLD_ART_MEAN "
        "150039 MDC_PRESS_BLD_ART_ABP_MEAN 150303 MDC_PRESS_CUFF_MEAN"
    ),
    "76533-9": "150020 MDC_PRESS_BLD_NONINV",
    "19891-1": "151708 MDC_CONC_AWAY_CO2_ET",
}

# The LOINC code in KINDS of each code that means the same vital sign.
EQUIVALENT: Final[Mapping[str, str]] = {
    same: code for table in (_LOINC, _MDC) for code, listed in table.items() for same in listed.split()
}


def kind_of(code: str) -> Kind | None:
    """The vital sign that a LOINC or MDC code means. None if this system judges no such code."""
    return KINDS.get(EQUIVALENT.get(code, code))


_OTHER_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9._-]")
NO_CODE: Final = "no-code"


def _code(value: object) -> str:
    return _OTHER_CHARACTERS.sub("_", str(value).strip())[:64] if isinstance(value, str | int) else ""


def lenient_number(value: object) -> Decimal | None:
    """The number, with its digits. None for anything else, and for a number that is too large to be measured."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(str(value))
    return number if number.is_finite() and abs(number) < _TOO_LARGE else None


AnyNumber = Annotated[
    Decimal | None,
    BeforeValidator(lenient_number),
    PlainSerializer(lambda value: None if value is None else _as_json(value), when_used="json"),
]


class Reading(Part):
    """One measured value, as it was sent. Every reading is accepted, so that an odd one never discards its neighbours.

    The function that judges it says why it cannot be judged (see ReadingNotJudged).
    """

    code: str = Field(
        max_length=64,
        description="LOINC code (8867-4), or IEEE 11073 code as number or name (147842, MDC_ECG_HEART_RATE).",
    )
    unit: str = Field(max_length=32, description="UCUM unit (mm[Hg]), or the name or number of an MDC unit.")
    value: AnyNumber = Field(description="The number, with the digits that the device sent. Null if there is none.")

    @model_validator(mode="before")
    @classmethod
    def _as_sent(cls, data: Any) -> Any:
        if isinstance(data, Reading):
            return data
        given = data if isinstance(data, Mapping) else {}
        unit = given.get("unit")
        return {
            "code": _code(given.get("code")) or NO_CODE,
            "unit": str(unit).strip()[:32] if isinstance(unit, str | int) else "",
            "value": given.get("value"),
        }

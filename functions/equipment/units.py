"""Units: how a value is converted to the unit of its vital sign."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

# An annotation such as {beats} has no meaning of its own (https://ucum.org/ucum, section 6).
_ANNOTATION: Final = re.compile(r"\{[^{}]*\}")

# Other spellings of a unit. The first group are UCUM's own: a print symbol, or another expression of the same unit.
# Those of IEEE 11073-10101 are from https://rtmms.nist.gov (number and name).
_SPELLINGS: Final = {
    "/min": "1/min min-1 bpm rpm 264864 MDC_DIM_BEAT_PER_MIN 264928 MDC_DIM_RESP_PER_MIN",
    "/s": "1/s s-1 Hz",
    "%": "262688 MDC_DIM_PERCENT",
    "Cel": "°C degC 268192 MDC_DIM_DEGC",
    "[degF]": "°F degF 266560 MDC_DIM_FAHR",
    "mm[Hg]": "mmHg 266016 MDC_DIM_MMHG",
    "hPa": "mbar 265986 MDC_DIM_HECTO_PASCAL",
    "kPa": "265987 MDC_DIM_KILO_PASCAL",
    "cm[H2O]": "cmH2O",
}
_SAME: Final = {same: unit for unit, listed in _SPELLINGS.items() for same in listed.split()} | {"mm Hg": "mm[Hg]"}

# A factor for each unit, by the unit of the vital sign. UCUM defines m[Hg] as 133.3220 kPa and m[H2O] as 9.80665 kPa.
_MM_HG: Final = Decimal("0.133322")  # in kPa
_FACTORS: Final[Mapping[str, Mapping[str, Decimal]]] = {
    "/min": {"/min": Decimal(1), "/s": Decimal(60), "/h": 1 / Decimal(60)},
    "%": {"%": Decimal(1), "1": Decimal(100)},
    "mm[Hg]": {
        "mm[Hg]": Decimal(1),
        "kPa": 1 / _MM_HG,
        "hPa": Decimal("0.1") / _MM_HG,
        "Pa": Decimal("0.001") / _MM_HG,
        "cm[H2O]": Decimal("0.0980665") / _MM_HG,
    },
    "Cel": {"Cel": Decimal(1)},
}
_OTHER_TEMPERATURES: Final = ("[degF]", "K")


def convert(value: Decimal, unit: str, to: str) -> Decimal | None:
    """The value in the unit `to`, one of those of KINDS. None if the unit cannot be converted to it."""
    if not unit:
        return None
    plain = _ANNOTATION.sub("", unit) or "1"
    plain = _SAME.get(plain, plain)
    if to == "Cel" and plain == "[degF]":
        return (value - 32) * 5 / 9
    if to == "Cel" and plain == "K":
        return value - Decimal("273.15")
    factor = _FACTORS[to].get(plain)
    return value if factor == 1 else None if factor is None else value * factor


def convertible(to: str) -> list[str]:
    """The units that are converted to the unit `to`, itself included."""
    return [*_FACTORS[to], *(_OTHER_TEMPERATURES if to == "Cel" else ())]

"""Recognize IBANs, so that no contract accepts one as an id: ids are in keys and logs.

An own table, because python-stdnum takes 0.4 seconds to import. A test compares it with that one.
"""

import re
from collections.abc import Mapping
from typing import Final

_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]+")
_IBAN_MODULUS: Final = 97  # ISO 7064, MOD 97-10

# The IBAN registry of SWIFT, which ISO 13616-2 makes the registration authority
# (https://www.swift.com/standards/data-standards/iban-international-bank-account-number): length, countries.
_COUNTRIES: Final[Mapping[int, str]] = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
IBAN_LENGTHS: Final = {country: length for length, countries in _COUNTRIES.items() for country in countries.split()}

_SEPARATORS: Final = str.maketrans("", "", "-._")


def is_iban(text: str) -> bool:
    """Whether the text (capital letters, no separators) has a registered country, its length, and the check digits of
    ISO 13616-1.
    """
    if IBAN_LENGTHS.get(text[:2]) != len(text) or not _IBAN.fullmatch(text):
        return False
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % _IBAN_MODULUS == 1


def bare(token: str) -> str:
    """The token in capital letters and without the separators that an id may contain."""
    return token.translate(_SEPARATORS).upper()

"""Recognize and remove payment card numbers in texts.

Card data must not be stored (PCI DSS 4.0, requirement 3.2), so admit rejects an event with a card number, and dead
letters and logs hide it. Own tables, because python-stdnum takes 0.4 seconds to import. A test compares them with it.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Final

# What replaces a card number.
REMOVED: Final = "[card number removed]"

_DIGITS: Final = re.compile(r"[0-9]{12,19}")

# Prefixes and lengths by scheme (ISO/IEC 7812-1 gives the prefixes to issuers; the register itself is not public). From
# https://en.wikipedia.org/wiki/Payment_card_number, section "Issuer identification number", without schemes that have
# ended. RuPay, Elo and Hipercard share the prefixes 60, 65 and 82 with Discover and others.
_SCHEMES: Final[Mapping[str, tuple[str, range | tuple[int, ...]]]] = {
    "American Express": ("34 37", (15,)),
    "China T-Union": ("31", (19,)),
    "China UnionPay": ("62 81", range(16, 20)),
    "Diners Club": ("300-305 309 36 38 39", range(14, 20)),
    "Discover": ("6011 644-649 65", range(16, 20)),
    "Humo and Uzcard": ("8600 9860", (16,)),
    "InterPayment and InstaPayment": ("636-639", range(16, 20)),
    "JCB": ("3528-3589", range(16, 20)),
    "Maestro": ("50 56-58 6304 6390 67", range(12, 20)),
    "Mastercard": ("51-55 2221-2720", (16,)),
    "Mir and BORICA": ("2200-2205", range(16, 20)),
    "Napas": ("9704", (16, 19)),
    "RuPay": ("60 82", (16,)),
    "Troy": ("9792", (16,)),
    "UATP": ("1", (15,)),
    "Visa": ("4", (13, 16, 18, 19)),
}


_RANGES: Final = {
    length: [(first, last or first) for first, _, last in (each.partition("-") for each in prefixes)]
    for length in range(12, 20)
    if (prefixes := [each for several, lengths in _SCHEMES.values() if length in lengths for each in several.split()])
}
_DOUBLED: Final = {str(digit): sum(divmod(2 * digit, 10)) for digit in range(10)}

# In a text, 12 digits are the id of an AWS account or a telephone number. Maestro's cards with 12 digits are rare.
_SHORTEST: Final = 13
_LONGEST: Final = 19
# A longer sequence of groups is a series of measured values, such as an ECG. Two grouped card numbers with codes fit.
_MAX_GROUPED: Final = 40
# The longest telephone number (ITU-T E.164, section 6.2.1), without the plus sign.
_MAX_PHONE: Final = 15

_ENOUGH: Final = re.compile(r"[0-9](?:[ -]{0,3}[0-9]){12}")  # a quick check for the shortest number
# Groups of digits, separated by spaces or hyphens. Digits next to A to Z are part of a hash or of an id, except after a
# word of three characters (`card4111…`), and before G to Z, which no hexadecimal number has. An IBAN begins with two.
# Digits after a decimal point are a fraction.
_RUN: Final = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9]\.)(?:[A-Za-z]{3,}|\+)?(?P<digits>[0-9]+(?:[ -]{1,3}[0-9]+)*)(?![0-9A-Fa-f])"
)
_GROUP: Final = re.compile(r"[0-9]+")
_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)  # RFC 9562
# Digits, spaces and hyphens that are escaped: in JSON that cannot be parsed or is within JSON, and in streams' names.
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})|%(20)")
# Names of card verification codes.
_CODE_NAME: Final = r"(?:c[av][cv]|cvn|csc|cid|(?:card|security|verification)[ _-]?code)2?"


class _Plain(dict[int, str | int]):
    """For str.translate: digits of all scripts as ASCII, spaces as a space, dashes and invisible characters as `-`."""

    def __missing__(self, code: int) -> str | int:
        character = chr(code)
        kind = unicodedata.category(character)
        if (digit := unicodedata.digit(character, None)) is not None:
            self[code] = str(digit)
        elif kind == "Zs":
            self[code] = " "
        elif kind in {"Pd", "Cf"} or character == "\N{MINUS SIGN}":
            self[code] = "-"
        else:
            self[code] = code
        return self[code]


_PLAIN: Final = _Plain()


def is_card_number(digits: str) -> bool:
    """Whether the digits have the prefix and the length of a scheme, and the check digit of ISO/IEC 7812-1, annex B."""
    return (
        bool(_DIGITS.fullmatch(digits))
        and _passes_luhn(digits)
        and any(first <= digits[: len(first)] <= last for first, last in _RANGES[len(digits)])
    )


def has_card_number(text: str) -> bool:
    """Whether the text contains a card number, in one piece or in groups that spaces or hyphens separate."""
    return bool(_found(_unescaped(text)))


def without_card_numbers(text: str) -> str:
    """The text with REMOVED in place of each card number, with the groups of digits that follow it, and in place of
    the verification codes that are named in the text. A text without a card number stays as it is.
    """
    plain = _unescaped(text)
    found = _found(plain)
    if not found:
        return text
    parts, end = [], 0
    for first, last in found:
        parts.append(plain[end:first])
        end = last
    return _code().sub(rf"\1{REMOVED}", REMOVED.join([*parts, plain[end:]]))


def is_code(key: str, text: str) -> bool:
    """Whether a JSON value is a card verification code by its key and its form."""
    return bool(re.fullmatch(r"\s*[0-9]{3,4}\s*", text) and re.fullmatch(rf"(?i:(\w*[ _-])?{_CODE_NAME})", key))


@cache  # compiled when it is needed: a function that starts should not wait for it
def _code() -> re.Pattern[str]:
    """A verification code after its name."""
    return re.compile(rf"(?<![a-z])({_CODE_NAME}[\"']?\s*[:=]?\s*[\"']?)[0-9]{{3,4}}(?![0-9])", re.IGNORECASE)


def _unescaped(text: str) -> str:
    """The text, with escaped digits, spaces and hyphens as characters."""
    return _ESCAPE.sub(_unescape, text) if "\\u" in text or "%20" in text else text


def _unescape(match: re.Match[str]) -> str:
    character = " " if match[2] else chr(int(match[1], 16))
    return character if _PLAIN[ord(character)] in _ESCAPED else match[0]


_ESCAPED: Final = frozenset("0123456789 -")


def _found(text: str) -> list[tuple[int, int]]:
    """The positions of card numbers, each with all groups of its run."""
    plain = text if text.isascii() else text.translate(_PLAIN)
    if not _ENOUGH.search(plain):
        return []
    plain = _UUID.sub(lambda uuid: "x" * len(uuid[0]), plain)
    return [place for run in _RUN.finditer(plain) if len(run[0]) >= _SHORTEST for place in _in_run(run)]


def _in_run(run: re.Match[str]) -> list[tuple[int, int]]:
    groups = [(group.start(), group[0]) for group in _GROUP.finditer(run["digits"])]
    digits = sum(len(group) for _, group in groups)
    if run[0].startswith("+") and digits <= _MAX_PHONE:
        return []
    if digits <= _MAX_GROUPED:
        return [run.span("digits")] if _is_in([group for _, group in groups]) else []
    first = run.start("digits")
    return [(first + start, first + start + len(group)) for start, group in groups if _is_in([group])]


def _is_in(groups: list[str]) -> bool:
    """Whether adjacent groups are a card number."""
    for first in range(len(groups)):
        number = ""
        for group in groups[first:]:
            number += group
            if len(number) > _LONGEST:
                break
            if len(number) >= _SHORTEST and is_card_number(number):
                return True
    return False


def _passes_luhn(digits: str) -> bool:
    return (sum(map(int, digits[-1::-2])) + sum(_DOUBLED[digit] for digit in digits[-2::-2])) % 10 == 0

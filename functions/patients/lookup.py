"""By what patients are looked up: terms, written alike where somebody is found by them and where one is sought."""

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from daybook.store.limits import KEY_BYTES

# A term and a patient's id are a key together. What is longer is known by its beginning.
_BYTES_BESIDE: Final = 448  # for the term's kind and the id
_LONGEST: Final = (KEY_BYTES - _BYTES_BESIDE) // 4  # characters, of which some take 4 bytes


def words(name: str) -> list[str]:
    """The words of a name as they are compared: without accents, case, hyphens. Scripts stay what they are."""
    # Some signs have capitals within them, and some capitals accents: hence twice.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return "".join(" " if _parts_words(letter) else letter for letter in folded if not _is_left_out(letter)).split()


def _is_left_out(letter: str) -> bool:
    """Whether it is an accent, or cannot be seen."""
    return unicodedata.combining(letter) != 0 or unicodedata.category(letter) == "Cf"


def _parts_words(letter: str) -> bool:
    """Whether it is neither letter nor digit, nor, as many vowels are, a mark on a letter."""
    return not letter.isalnum() and not unicodedata.category(letter).startswith("M")


def named(word: str) -> str:
    """The term for those who have this word in one of their names."""
    return _term("name", word)


def numbered(number: str) -> str:
    """The term for those who are known by this number, whoever has given it."""
    return _term("number", number)


def born(day: str) -> str:
    """The term for those born then, as far as it is known: `1815-12-10`, `1815-12`."""
    return _term("born", day)


def on(ward: str) -> str:
    """The term for those on a ward."""
    return _term("ward", ward)


def _term(kind: str, text: str) -> str:
    return f"{kind}:{text[:_LONGEST]}"


def terms(facts: Mapping[str, Any]) -> set[str]:
    """All terms for somebody of whom the index knows these facts, by their names."""
    found = {born(facts["birth_date"])} if facts.get("birth_date") else set()
    for name in facts.get("names") or ():
        for part in (name.get("text"), name.get("family"), *name.get("given", ())):
            found |= {named(word) for word in words(part or "")}
    found |= {numbered(each["value"]) for each in facts.get("identifiers") or () if "value" in each}
    stays = (value for name, value in facts.items() if name.startswith("encounter/"))
    return found | {on(stay["ward"]) for stay in stays if stay["ward"]}

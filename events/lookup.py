"""By what patients are looked up: terms, written alike where somebody is found by them and where one is sought."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

_NO_LETTERS = re.compile(r"[^\w]+")


def words(name: str) -> list[str]:
    """The words of a name as they are compared: without accents, case, hyphens. Scripts stay what they are."""
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(letter)
    )
    return [word for word in _NO_LETTERS.split(plain) if word]


def named(word: str) -> str:
    """The term for those who have this word in one of their names."""
    return f"name:{word}"


def numbered(number: str) -> str:
    """The term for those who are known by this number, whoever has given it."""
    return f"number:{number}"


def born(day: str) -> str:
    """The term for those born then, as far as it is known: `1815-12-10`, `1815-12`."""
    return f"born:{day}"


def on(ward: str) -> str:
    """The term for those on a ward."""
    return f"ward:{ward}"


def terms(facts: Mapping[str, Any]) -> set[str]:
    """All terms for somebody of whom the index knows these facts, by their names."""
    found = {born(facts["birth_date"])} if facts.get("birth_date") else set()
    for name in facts.get("names") or ():
        for part in (name.get("text"), name.get("family"), *name.get("given", ())):
            found |= {named(word) for word in words(part or "")}
    found |= {numbered(each["value"]) for each in facts.get("identifiers") or () if "value" in each}
    stays = (value for name, value in facts.items() if name.startswith("encounter/"))
    return found | {on(stay["ward"]) for stay in stays if stay["ward"]}

"""By what patients are looked up: terms, written alike where somebody is found by them and where one is sought."""

import re
import unicodedata

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


def born(day: str) -> str:
    """The term for those born then, as far as it is known: `1815-12-10`, `1815-12`."""
    return f"born:{day}"


def on(ward: str) -> str:
    """The term for those on a ward."""
    return f"ward:{ward}"

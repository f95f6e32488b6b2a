"""Search terms of patients. The index and a search make the same term from the same name, number, date or ward."""

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from daybook.store.limits import KEY_BYTES

# A term and a patient's id together are a key. A longer term is cut.
_OTHER_BYTES: Final = 448  # for the kind of the term, and the id
_MAX_CHARACTERS: Final = (KEY_BYTES - _OTHER_BYTES) // 4  # a character has at most 4 bytes


# Characters that Unicode does not decompose, as people type them who do not have them on their keyboard
# (https://github.com/unicode-org/cldr/blob/main/common/transforms/Latin-ASCII.xml).
# It has no rule for the last two, of Azerbaijani and of languages of Africa: their replacements are our own.
_REPLACEMENTS: Final = {
    ord(char): text
    for char, text in [
        *(("æ", "ae"), ("þ", "th"), ("œ", "oe")),
        *zip("ðøđħ\u0131łŋŧƙƴƶǥɓɖɗɛɨʉəɔ", "dodhilntkyzgbddeiueo", strict=True),
    ]
}
# Apostrophes, what is typed as an apostrophe, and the dot of Catalan: O'Neil, Gal·la.
_INSIDE_WORDS: Final = dict.fromkeys(
    map(ord, "'`\u00b4\u00b7\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u055a\u05f3\u2018\u2019\u201b\u2032\uff07")
)


def words(name: str) -> list[str]:
    """The words of a name as the index compares them: without accents, case, hyphens and apostrophes, each in its own
    script. `Sørensen` is `sorensen`, and `O'Neil` is `oneil`.
    """
    # Case folding may produce characters with accents, so the text is decomposed before and after.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name.translate(_INSIDE_WORDS)).casefold())
    folded = folded.translate(_REPLACEMENTS).translate(_INSIDE_WORDS)
    return "".join(" " if _is_separator(char) else char for char in folded if not _is_ignored(char)).split()


def _is_ignored(char: str) -> bool:
    """Whether it is an accent or invisible."""
    return unicodedata.combining(char) != 0 or unicodedata.category(char) == "Cf"


def _is_separator(char: str) -> bool:
    """Whether it separates words. Marks do not: in many scripts they are vowels."""
    return not char.isalnum() and not unicodedata.category(char).startswith("M")


def name_term(word: str) -> str:
    """The term of patients with this word in one of their names."""
    return _term("name", word)


def number_term(number: str) -> str:
    """The term of patients with this number, in any number system."""
    return _term("number", number)


def birth_date_term(day: str) -> str:
    """The term of patients with this birth date, as exact as it is known: `1815-12-10`, `1815-12`."""
    return _term("born", day)


def ward_term(ward: str) -> str:
    """The term of patients on a ward."""
    return _term("ward", ward)


def _term(kind: str, text: str) -> str:
    return f"{kind}:{text[:_MAX_CHARACTERS]}"


def terms(facts: Mapping[str, Any]) -> set[str]:
    """All terms of a patient with these facts in the index: values by name."""
    found = {birth_date_term(facts["birth_date"])} if facts.get("birth_date") else set()
    for name in facts.get("names") or ():
        for part in (name.get("text"), name.get("family"), *name.get("given", ())):
            found |= {name_term(word) for word in words(part or "")}
    found |= {number_term(each["value"]) for each in facts.get("identifiers") or () if "value" in each}
    stays = (value for name, value in facts.items() if name.startswith("encounter/"))
    return found | {ward_term(stay["ward"]) for stay in stays if stay["ward"]}

"""The words of a name in the form that is compared: the basic Latin alphabet, without accents, punctuation and case.

A name in another script is transliterated with `anyascii`. Its import takes about 30 ms, so it is imported for the
first name that needs it.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

# Characters that Unicode does not decompose into a character of the basic alphabet and a mark.
_PLAIN: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "\u0131": "i"})
# They do not separate words: O'Neil. The last two are what `anyascii` writes for a soft sign and for ʿayn.
_APOSTROPHES: Final = dict.fromkeys(map(ord, "'`\u2019\u02bc\u02bf\u02be\""))
_FORMS: Final = (
    "ltd limited llc llp lp inc incorporated corp corporation co company plc gmbh mbh ag kg ohg se sa sas sarl srl spa "
    "snc bv nv oy oyj ab as asa aps kft zrt doo dd jsc ojsc cjsc pjsc oao zao pao ao ooo pte pty bhd sdn"
)
_LEGAL_FORMS: Final = frozenset(_FORMS.split())
# Articles, prepositions, "son of", "and" and titles. Senders write them or leave them out.
_SMALL_WORDS: Final = (
    "al el ul ad ar as at az an bin ibn ben bint de del della den der di da do dos das du la las le les los van von zu "
    "of the and und et mr mrs ms dr prof"
)
_PARTICLES: Final = frozenset(_SMALL_WORDS.split())
# Spellings of one sound, in romanisations in use (BGN/PCGN, ISO 9, German, French): Wolkow and Volkov, Mohammed and
# Muhammad, Hussein and Husayn, Alexei and Aleksey. Our own selection; `bench screening` measures what it does.
_SOUNDS: Final = {
    written: spoken
    for spoken, spellings in {
        "s": "shch sch sh",
        "ch": "tch cz",
        "k": "kh ck q c",
        "g": "gh",
        "f": "ph",
        "d": "dh",
        "t": "th",
        "v": "w",
        "ks": "x kz",
        "ts": "tz",
        "u": "ou oo o",
        "i": "ei ey ai ay ie ee y j",
        "a": "e",
    }.items()
    for written in spellings.split()
}
_SPELLING: Final = re.compile("|".join(sorted(_SOUNDS, key=len, reverse=True)).replace("|c|", "|c(?!h)|"))
_REPEATED: Final = re.compile(r"(.)\1+")
_VOWELS: Final = str.maketrans("", "", "aeiouy")
# Scripts whose characters stand for sounds, so that a transliteration can be compared with a listed name.
_SCRIPTS_OF_SOUNDS: Final = frozenset({"LATIN", "FULLWIDTH", "CYRILLIC", "GREEK", "ARMENIAN", "GEORGIAN"})
_SCRIPTS_WITHOUT_VOWELS: Final = frozenset({"ARABIC", "HEBREW"})
_ARABIC_ARTICLE: Final = re.compile(r"(?<!\w)\u0627\u0644(?=\w{2})")
_WORD: Final = re.compile(r"[a-z0-9]+")
_CAPITAL: Final = re.compile(r"(?=[A-Z])")
MAX_WORDS: Final = 40  # of a name; the others are ignored


class Join(NamedTuple):
    """Two adjacent words of a name, written as one. `words` are the places of those that are compared: no particles."""

    sound: str
    words: tuple[int, ...]


class Name(NamedTuple):
    """The words of a name in their order, without legal forms and particles unless it has nothing else."""

    words: tuple[str, ...]
    joins: tuple[Join, ...]
    first_given: int | None  # the place of the first word after a comma, as lists write people: SURNAME, Given Given


@lru_cache(maxsize=65_536)
def sound(word: str) -> str:
    """The word in a spelling that is the same for romanisations in use."""
    return _REPEATED.sub(r"\1", _SPELLING.sub(lambda found: _SOUNDS[found[0]], word))


def consonants(word: str) -> str:
    """The consonants of a word's sound, for names in scripts that do not write vowels."""
    return _REPEATED.sub(r"\1", sound(word).replace("v", "").translate(_VOWELS))


def scripts(name: str) -> frozenset[str]:
    """The scripts of the name's characters, by the names of Unicode: LATIN, CYRILLIC, ARABIC, CJK."""
    return frozenset(
        unicodedata.name(each, "UNKNOWN").split()[0] for each in name if unicodedata.category(each)[0] == "L"
    )


def is_without_vowels(name: str) -> bool:
    """Whether the name is in a script that does not write vowels, so that only consonants can be compared."""
    return bool(scripts(name) & _SCRIPTS_WITHOUT_VOWELS)


def is_comparable(name: str) -> bool:
    """Whether a comparison with names in the Latin alphabet says that the name is not listed.

    Not so for a name without characters, and for one in a script that does not write vowels, or whose signs are read in
    several ways.
    """
    used = scripts(name)
    return bool(used) and used <= _SCRIPTS_OF_SOUNDS


def parse(name: str) -> Name:
    """The name in the form that is compared."""
    written = _words(name)[:MAX_WORDS]
    kept = [word not in _LEGAL_FORMS and word not in _PARTICLES for word in written]
    if not any(kept):
        kept = [True] * len(written)
    places = [sum(kept[:place]) for place in range(len(written))]
    joins = [
        Join(sound(one + other), tuple(places[each] for each in (place, place + 1) if kept[each]))
        for place, (one, other) in enumerate(pairwise(written))
        if (kept[place] or kept[place + 1]) and not {one, other} & _LEGAL_FORMS
    ]
    words = tuple(word for word, keep in zip(written, kept, strict=True) if keep)
    surnames = sum(kept[: len(_words(name.partition(",")[0]))]) if "," in name else 0
    return Name(words, tuple(joins), surnames if 0 < surnames < len(words) else None)


def _words(name: str) -> list[str]:
    plain = name.casefold()
    if not plain.isascii():
        plain = "".join(
            character
            for character in unicodedata.normalize("NFKD", _ARABIC_ARTICLE.sub("", plain)).translate(_PLAIN)
            if not unicodedata.combining(character) and unicodedata.category(character) != "Cf"  # such as joiners
        )
    plain = plain.translate(_APOSTROPHES)
    return _WORD.findall(plain if plain.isascii() else _transliterated(plain))


def _transliterated(name: str) -> str:
    from anyascii import anyascii  # noqa: PLC0415 - most names do not need it

    # It begins each syllable of Chinese with a capital character: WangXiaoMing.
    separated = _CAPITAL.sub(" ", anyascii(unicodedata.normalize("NFC", name)))
    return separated.casefold().translate(_APOSTROPHES)

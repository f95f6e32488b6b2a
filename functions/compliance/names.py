"""How alike names are, whoever has written them: case, accents, punctuation, the order of words and legal forms count
for nothing. Scripts stay what they are.
"""

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from rapidfuzz import fuzz, process

from events.compliance import MOST_MATCHES, Match
from functions.compliance.sanctions_list import Listed

# Letters that Unicode does not take apart into one of the alphabet and a mark.
_PLAIN: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "\u0131": "i"})
# They stand within a word: O'Neil.
_APOSTROPHES: Final = frozenset("'`\u2019\u02bc")
_FORMS: Final = (
    "ltd limited llc llp lp inc incorporated corp corporation co company plc gmbh mbh ag kg ohg se sa sas sarl srl spa "
    "snc bv nv oy oyj ab as asa aps kft zrt doo dd jsc ojsc cjsc pjsc oao zao pao ooo pte pty bhd sdn "
    "ооо оао зао пао ао"  # noqa: RUF001 - the same in Cyrillic
)
_LEGAL_FORMS: Final = frozenset(_FORMS.split())
# No source: the house's own. Names with fewer letters are alike by chance, and must be the same.
_SHORT: Final = 6


class Name(NamedTuple):
    """A name as it is compared: its words, and these in the order of the alphabet as one text."""

    text: str
    words: frozenset[str]

    @classmethod
    def of(cls, words: Iterable[str]) -> "Name":
        """The name that is made of these words, in whatever order they come."""
        ordered = sorted(words)
        return cls(" ".join(ordered), frozenset(ordered))

    @property
    def short(self) -> bool:
        """Whether it has so few letters that others are like it by chance."""
        return _letters(self.words) < _SHORT


class NameIndex:
    """All names of a list, so that those that are like a given one are found without looking at each."""

    def __init__(self, listed: Iterable[Listed]) -> None:
        named = [(name, entry) for entry, text in listed for name in forms(text)]
        named.sort(key=lambda each: len(each[0].text))
        self._names = [name for name, _ in named]
        self._entries = [entry for _, entry in named]
        self._texts = [name.text for name in self._names]
        self._lengths = [len(text) for text in self._texts]
        self._by_word: dict[str, list[int]] = {}
        for place, name in enumerate(self._names):
            for word in name.words:
                self._by_word.setdefault(word, []).append(place)

    def like(self, name: str, *, least: int) -> tuple[Match, ...]:
        """The entries that the name is so like at the least, in percent, the most alike first."""
        best: dict[int, int] = {}
        for form in forms(name):
            for place, likeness in [*self._of_such_length(form, least), *self._with_a_word_of(form)]:
                if likeness >= least and (form == self._names[place] or not (form.short or self._names[place].short)):
                    entry = self._entries[place]
                    best[entry] = max(int(likeness), best.get(entry, 0))
        ranked = sorted(best.items(), key=lambda each: (-each[1], each[0]))
        return tuple(Match(entry=entry, likeness=likeness) for entry, likeness in ranked[:MOST_MATCHES])

    def _of_such_length(self, form: Name, least: int) -> Iterator[tuple[int, float]]:
        """Names as a whole, as far as their length leaves room for such likeness (twice the shorter one's letters over
        the letters of both).
        """
        room = least / (200 - least)
        shortest = bisect_left(self._lengths, len(form.text) * room)
        longest = bisect_right(self._lengths, len(form.text) / room)
        found = process.extract(
            form.text, self._texts[shortest:longest], scorer=fuzz.ratio, score_cutoff=least, limit=None
        )
        return ((shortest + place, likeness) for _, likeness, place in found)

    def _with_a_word_of(self, form: Name) -> Iterator[tuple[int, float]]:
        """Names that have a word in common with this one, by what the others come to."""
        places = {place for word in form.words for place in self._by_word.get(word, ())}
        return ((place, _beside_common_words(form, self._names[place])) for place in places)


def forms(name: str) -> list[Name]:
    """The name as it stands, and without its legal form, if it has one."""
    words = _words(name)
    without = [word for word in words if word not in _LEGAL_FORMS]
    return [Name.of(each) for each in ([words, without] if without and without != words else [words]) if each]


def _words(name: str) -> list[str]:
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", name.casefold()).translate(_PLAIN)
        if not unicodedata.combining(letter)
        and letter not in _APOSTROPHES
        and unicodedata.category(letter) != "Cf"  # not to be seen, as joiners are
    )
    return "".join(letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in plain).split()


def _beside_common_words(one: Name, other: Name) -> float:
    """How alike they are when their common words come first: a letter that is wrong at a word's beginning would else
    put the word elsewhere. A name that has all words of the other, several and not short, is the same.
    """
    common = one.words & other.words
    telling = common - _LEGAL_FORMS
    if len(telling) > 1 and _letters(telling) >= _SHORT and common in (one.words, other.words):
        return 100
    start = sorted(common)
    ours, theirs = (" ".join([*start, *sorted(name.words - common)]) for name in (one, other))
    return fuzz.ratio(ours, theirs)


def _letters(words: Iterable[str]) -> int:
    return sum(map(len, words))

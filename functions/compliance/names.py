"""Similarity of names: which entries of a list a counterparty may be.

Words are compared, not texts. Their order, accents, legal forms and particles make no difference. A word equals another
spelling of the same sound (Wolkow, Volkov), two words equal one (Abd Rahman, Abdrahman), an initial stands for a word,
and a typing mistake costs something. A name that has only some words of the other matches only if these are rare in the
list: Ali and Mohammed together say little. Another birth year or another country than the listed ones lowers the
similarity; if one of the two is unknown, it stays the same.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Final, NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA

from events.compliance import MAX_MATCHES, Match
from functions.compliance.sanctions_list import Listed
from functions.compliance.spelling import Name, consonants, is_without_vowels, parse, sound

# Our own choices, without a source. `bench screening` shows what they find and what they report in vain.
_MIN_FUZZY_LENGTH: Final = 6  # characters; a shorter name is often similar to another by chance, so it must be equal
_MISTAKE: Final = 0.5  # characters that a typing mistake costs
_SPELLING: Final = 0.1  # characters that another spelling of the same sound costs
_OTHER_WORD: Final = 2.5  # characters that it costs if the result is a word of several entries, so probably no mistake
_SEVERAL: Final = 3  # names
_MAX_MISTAKES: Final = 2  # in a word
_INITIAL: Final = 2  # percent that an initial costs
_SURPLUS: Final = 2  # percent that a word costs that only one of the names has
_MAX_SURPLUS: Final = 10  # percent
_INITIAL_BITS: Final = 3.0  # what an equal first character says
_MISTAKE_BITS: Final = 3.0  # what a word says less for each mistake
# Names that share words by chance must be this much rarer than one in the list. More is needed if a listed person's
# first given name or surname is not shared: OTHER, Ana Maria is hardly Maria Other.
_MARGIN_BITS: Final = 5.0
_WIDE_MARGIN_BITS: Final = 8.0
_OTHER_YEAR: Final = 15  # percent that another birth year costs: even an equal name is then below the default of 88
# Percent that another country costs. It is little, because people move: an equal name still matches by default.
_OTHER_COUNTRY: Final = 5
_MIN_ENTRIES: Final = 10_000  # the words of a shorter list are regarded as if it were this long


class _Pair(NamedTuple):
    """Words of both names that are the same."""

    cost: float  # characters
    asked: tuple[int, ...]
    listed: tuple[int, ...]
    bits: float


class NameIndex:
    """An index of all names of a list. A search compares only names that have words in common, or similar ones."""

    def __init__(self, listed: Iterable[Listed], *, only_consonants: bool = False) -> None:
        self._source = list(listed)
        self._entries = [each.entry for each in self._source]
        self._facts = {each.entry: each for each in self._source}
        self._names = [_parse(each.name, only_consonants=only_consonants) for each in self._source]
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        self._joined: defaultdict[str, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
        self._spellings: defaultdict[str, list[str]] = defaultdict(list)
        sharing: defaultdict[str, set[int]] = defaultdict(set)
        for place, name in enumerate(self._names):
            for word in dict.fromkeys(name.words):
                self._places[word].append(place)
                sharing[sound(word)].add(self._entries[place])
            for join in name.joins:
                self._joined[join.sound].append((place, join.words))
        for word in self._places:
            self._spellings[sound(word)].append(word)
        self._several = {word for word, places in self._places.items() if len(places) >= _SEVERAL}
        size = max(_MIN_ENTRIES, len(set(self._entries)))
        self._size_bits = math.log2(size)
        self._bits = {each: math.log2(size / len(entries)) for each, entries in sharing.items()}
        # Words by length: a word of another length by more than two characters is never similar.
        self._by_length: defaultdict[int, list[str]] = defaultdict(list)
        for word in self._places:
            self._by_length[len(word)].append(word)

    def matches(
        self, name: str, *, min_similarity: int, born_on: date | None = None, country: str = ""
    ) -> tuple[Match, ...]:
        """The entries of at least this similarity (percent), most similar first.

        `country` is a code of ISO 3166-1 alpha-2, and empty if unknown.
        """
        best = self._search(parse(name), min_similarity)
        if is_without_vowels(name):
            for entry, similarity in self._consonants.of_consonants(name, min_similarity).items():
                best[entry] = max(similarity, best.get(entry, 0))
        lowered = {entry: best[entry] - self._contradictions(entry, born_on, country) for entry in best}
        similar = [each for each in lowered.items() if each[1] >= min_similarity]
        ranked = sorted(similar, key=lambda each: (-each[1], each[0]))
        return tuple(Match(entry=entry, similarity=similarity) for entry, similarity in ranked[:MAX_MATCHES])

    def _contradictions(self, entry: int, born_on: date | None, country: str) -> int:
        """The percent that a birth date and a country cost if the entry has only others."""
        listed = self._facts[entry]
        other_year = born_on and listed.years and born_on.year not in listed.years
        other_country = country and listed.countries and country not in listed.countries
        return _OTHER_YEAR * bool(other_year) + _OTHER_COUNTRY * bool(other_country)

    def of_consonants(self, name: str, min_similarity: int) -> dict[int, int]:
        """The similarities of entries, if this index has only consonants."""
        return self._search(_parse(name, only_consonants=True), min_similarity)

    @cached_property
    def _consonants(self) -> "NameIndex":
        return NameIndex(self._source, only_consonants=True)

    def _search(self, asked: Name, min_similarity: int) -> dict[int, int]:
        costs = [self._similar(word) for word in asked.words]
        best: dict[int, int] = {}
        for place, joined in self._candidates(asked, costs):
            similarity = self._similarity(asked, costs, place, joined)
            if similarity >= min_similarity:
                entry = self._entries[place]
                best[entry] = max(int(similarity), best.get(entry, 0))
        return best

    def _similar(self, word: str) -> dict[str, float]:
        """The words of the list that may be this one, with their costs in characters."""
        found: dict[str, float] = {}
        each_costs = _OTHER_WORD if word in self._several else _MISTAKE
        for length in range(max(1, len(word) - _MAX_MISTAKES), len(word) + _MAX_MISTAKES + 1):
            if most := _mistakes(max(length, len(word))):
                words = self._by_length.get(length, ())
                similar = process.extract(word, words, scorer=OSA.distance, score_cutoff=most, limit=None)
                found |= {other: mistakes * each_costs for other, mistakes, _ in similar}
        return found | {other: _SPELLING * (other != word) for other in self._spellings.get(sound(word), ())}

    def _candidates(
        self, asked: Name, costs: Sequence[Mapping[str, float]]
    ) -> Iterator[tuple[int, Sequence[tuple[tuple[int, ...], tuple[int, ...]]]]]:
        """The places of names with enough words in common, and which words are one word in the other name."""
        joined: defaultdict[int, list[tuple[tuple[int, ...], tuple[int, ...]]]] = defaultdict(list)
        for position, word in enumerate(asked.words):
            for place, words in self._joined.get(sound(word), ()):
                joined[place].append(((position,), words))
        for join in asked.joins:
            for word in self._spellings.get(join.sound, ()):
                for place in self._places[word]:
                    joined[place].append((join.words, (self._names[place].words.index(word),)))
        shared: Counter[int] = Counter()
        for similar in costs:
            shared.update({place for word in similar for place in self._places[word]})
        full = sum(len(word) > 1 for word in asked.words)
        for place in joined.keys() | shared.keys():
            needed = min(2, full, sum(len(word) > 1 for word in self._names[place].words))
            if place in joined or shared[place] >= needed:
                yield place, joined.get(place, ())

    def _similarity(
        self,
        asked: Name,
        costs: Sequence[Mapping[str, float]],
        place: int,
        joined: Iterable[tuple[tuple[int, ...], tuple[int, ...]]],
    ) -> float:
        """Similarity in percent with the name at this place; 0 if what they share is not specific enough."""
        listed = self._names[place]
        if _is_short(asked) or _is_short(listed):
            return 100.0 if sorted(asked.words) == sorted(listed.words) else 0.0
        pairs = [
            _Pair(costs[one][word], (one,), (other,), self._bits[sound(word)])
            for one in range(len(costs))
            for other, word in enumerate(listed.words)
            if word in costs[one]
        ]
        pairs += [
            _Pair(0.0, one, other, max(self._bits[sound(listed.words[each])] for each in other))
            for one, other in joined
        ]
        left, missing = set(range(len(asked.words))), set(range(len(listed.words)))
        cost = bits = characters = 0.0
        mistakes = worst = 0
        for pair in sorted(pairs):
            if left.issuperset(pair.asked) and missing.issuperset(pair.listed):
                left.difference_update(pair.asked)
                missing.difference_update(pair.listed)
                cost += pair.cost
                mistakes += int(pair.cost / _MISTAKE)
                worst = max(worst, int(pair.cost / _MISTAKE))
                bits += pair.bits
                characters += sum(len(listed.words[each]) for each in pair.listed)
        initials = _take_initials(asked.words, left, listed.words, missing)
        conflicts = min(len(left), len(missing))
        other = sorted((len(listed.words[each]) for each in missing), reverse=True)[:conflicts]
        surplus = abs(len(left) - len(missing))
        needed = self._size_bits if initials else self._size_bits - _MISTAKE_BITS if worst > 1 else 0.0
        if surplus or conflicts:
            central = listed.first_given is None or (
                listed.first_given not in missing and any(each not in missing for each in range(listed.first_given))
            )
            needed = self._size_bits + (_MARGIN_BITS if central else _WIDE_MARGIN_BITS)
        if not characters or bits + initials * _INITIAL_BITS - mistakes * _MISTAKE_BITS < needed:
            return 0.0
        same = 100 * (1 - (cost + sum(other)) / (characters + sum(other)))
        return max(0.0, same - initials * _INITIAL - min(_MAX_SURPLUS, surplus * _SURPLUS))


def _parse(name: str, *, only_consonants: bool) -> Name:
    parsed = parse(name)
    if not only_consonants:
        return parsed
    words = tuple(map(consonants, parsed.words))
    kept = [place for place, word in enumerate(words) if word]
    joins = tuple(
        join._replace(sound=consonants(join.sound), words=tuple(kept.index(each) for each in join.words))
        for join in parsed.joins
        if set(join.words) <= set(kept)
    )
    return Name(tuple(words[place] for place in kept), joins, None)


def _take_initials(asked: Sequence[str], left: set[int], listed: Sequence[str], missing: set[int]) -> int:
    """The number of initials of one name that stand for a word of the other. Both are removed from the sets."""
    taken = 0
    for one in sorted(left):
        for other in sorted(missing):
            word, against = asked[one], listed[other]
            if 1 in (len(word), len(against)) and word[0] == against[0]:
                left.remove(one)
                missing.remove(other)
                taken += 1
                break
    return taken


def _is_short(name: Name) -> bool:
    return sum(map(len, name.words)) < _MIN_FUZZY_LENGTH


def _mistakes(length: int) -> int:
    """How many typing mistakes a word may have, by the length of the longer word."""
    return min(_MAX_MISTAKES, (length + 2) // 4 if length > _MAX_MISTAKES else 0)

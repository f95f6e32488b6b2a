"""A sanctions list with the structure of the US Treasury's, and names of payees. All of it is generated.

What is imitated, by our own estimate from the published SDN.CSV and ALT.CSV: about 8,000 entries with 20,000 names; two
thirds are people, written `SURNAME, Given Given`; a third are organisations and vessels in capitals with legal forms;
people of a few regions, so that some given names and surnames occur in hundreds of entries; other names that are
spellings of the first one or shorter. The words are common names and generated ones; the people do not exist.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from functions.compliance.sanctions_list import Listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Region:
    """How people of a region are named. `surnames` and `given` are frequent ones, most frequent first."""

    share: float  # of the list's people
    given: Sequence[str]
    surnames: Sequence[str]
    syllables: Sequence[str]  # of rare surnames
    words: Sequence[int]  # number of given names, each as probable as often as it occurs
    common: float  # share of people on the list with a frequent surname


def _of(words: str) -> list[str]:
    return words.split()


REGIONS: Final = (
    Region(
        share=0.38,
        given=_of(
            "Mohammad Ali Ahmad Hassan Hussein Abdullah Ibrahim Mahmoud Khalid Omar Yusuf Mustafa Salim Hamid "
            "Karim Nasir Jamal Tariq Faisal Rashid Samir Walid Bilal Adel Majid Fadi Ziad Anwar Imad Haytham "
            "Bashir Munir"
        ),
        surnames=_of(
            "Hassan Hussein Ali Ahmad Ibrahim Khan Mahmoud Saleh Nasser Hamdan Qasim Mansour Haddad Khoury Rahman "
            "Aziz Sharif Najjar Jaber Tamimi Shami Zaydan Omari Masri"
        ),
        syllables=_of("ba ha sha ra ma qa fa ni di lu wi ja za da ri sa bu tha mi ya"),
        words=(1, 2, 2, 3, 3),
        common=0.12,
    ),
    Region(
        share=0.3,
        given=_of(
            "Aleksandr Sergei Vladimir Andrei Dmitri Aleksei Igor Nikolai Mikhail Ivan Yuri Viktor Oleg Pavel "
            "Evgeni Konstantin Maksim Anatoli Roman Denis Natalia Olga Elena Svetlana Irina"
        ),
        surnames=_of(
            "Ivanov Petrov Smirnov Kuznetsov Popov Volkov Sokolov Morozov Novikov Kozlov Lebedev Pavlov Orlov "
            "Zaitsev Romanov Fedorov Egorov Nikitin Makarov Zakharov"
        ),
        syllables=_of("bor kal gre mir dov zer shu lyn tar vik pol cher nov ras gud bel yar sim kor"),
        words=(1, 2, 2, 2),
        common=0.06,
    ),
    Region(
        share=0.2,
        given=_of(
            "Jose Maria Juan Carlos Luis Jorge Jesus Antonio Manuel Francisco Miguel Fernando Ricardo Rafael "
            "Alberto Mario Ana Sandra Diego Andres Pedro Sergio Javier Oscar Eduardo Victor Gloria Martha "
            "Patricia Claudia"
        ),
        surnames=_of(
            "Rodriguez Garcia Gonzalez Lopez Martinez Hernandez Perez Sanchez Ramirez Torres Gomez Diaz Vargas "
            "Castro Rojas Moreno Ortiz Gutierrez Alvarez Ruiz Salazar Mendoza Herrera Medina Suarez Rivera "
            "Castillo Jimenez"
        ),
        syllables=_of("bar que lan dor mi zal tor ves car pin gue ral ban ces mon tal"),
        words=(1, 2, 2),
        common=0.3,
    ),
    Region(
        share=0.12,
        given=_of("Wei Min Jun Hui Li Yong Chol Song Il Hyok Jin Ming Feng Lei Bo Kwang Myong Tae Nam Guk Ryong Hyon"),
        surnames=_of("Kim Ri Pak Choe Wang Li Zhang Chen Liu Yang Huang Zhao Wu Zhou Xu Sun Jang Jong Han Kang"),
        syllables=_of("gan bei rong shuo xian dong qiu hao pan lin"),
        words=(2, 2, 2, 1),
        common=0.5,
    ),
)
# Frequent names of people who are hardly on the list.
_ELSEWHERE_GIVEN: Final = _of(
    "James Mary John Patricia Robert Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Thomas "
    "Jessica Anna Peter Maria Paul Laura Martin Julia Daniel Sophie Marco Giulia Pierre Claire Hans Eva Jan "
    "Katarzyna Lucas Emma"
)
_ELSEWHERE_SURNAMES: Final = _of(
    "Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Moore Jackson Martin Lee Thompson "
    "White Mueller Schmidt Schneider Fischer Weber Meyer Wagner Rossi Ferrari Russo Bianchi Dubois Bernard Petit "
    "Durand Novak Kowalski Nowak Jansen Silva Santos Costa Nguyen Tran"
)
_TRADES: Final = _of(
    "Trading Shipping General Petroleum Investment Industries Construction Transport Marine Engineering Exchange "
    "Holding Group Aviation Electronics Import Export Services Steel Bank"
)
_FORMS: Final = _of("LTD LLC CO. S.A. FZE GMBH JSC LIMITED COMPANY INC.")
_PARTICLES: Final = ("al-", "al-", "bin ", "abu ", "de la ", "van ")
_SYLLABLES: Final = _of("ka lo mi ra ven dor sha tek bal uri zan pol gre hin ost")
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz"
_FREQUENT_GIVEN: Final = 0.6  # share of given names that are frequent
_PAYEES_OF_REGIONS: Final = 0.08  # share of common payees' names that are of the list's regions
ENTRIES: Final = 8_000
SEED: Final = 20_260_301  # the same names each time


class Generator:
    """A list, and names of payees to compare with it. The same seed gives the same names."""

    def __init__(self, seed: int = SEED) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - guards no secret

    def listed(self, entries: int = ENTRIES) -> list[Listed]:
        """All names of a list with this number of entries; 2.5 names for each."""
        names: list[Listed] = []
        for entry in range(1, entries + 1):
            person = self._rng.random() < 2 / 3
            name = self._person() if person else self._organisation()
            names.append(Listed(entry, name))
            for _ in range(self._rng.choice((0, 1, 1, 2, 2, 3))):
                other = (
                    self._other_name(name) if person else f"{self._rare(4).upper()} {self._frequent(_TRADES).upper()}"
                )
                names.append(Listed(entry, other))
        return names

    def common(self, count: int) -> list[str]:
        """Common names of a given name and a surname, of everywhere. Some are of the list's regions."""
        return [self._common() for _ in range(count)]

    def people(self, listed: Sequence[Listed], count: int) -> list[Listed]:
        """Some of the listed people with at least two words."""
        people = [each for each in listed if ", " in each.name and len(each.name) > len("ABCDE, Fgh")]
        return self._rng.sample(people, count)

    # --- how a sender writes a listed name ----------------------------------------------------------------------------

    def reordered(self, name: str) -> str:
        """The given names first, as most people write."""
        surname, _, given = name.partition(", ")
        return f"{given} {surname.title()}"

    def with_particle(self, name: str) -> str:
        """With a particle before the surname, or without the one that the list has."""
        surname, _, given = name.partition(", ")
        bare = surname.lower()
        for particle in _PARTICLES:
            if bare.startswith(particle):
                return f"{given} {bare.removeprefix(particle)}"
        return f"{given} {self._rng.choice(('al-', 'de ', 'van ', 'bin '))}{bare}"

    def with_mistakes(self, name: str, mistakes: int) -> str:
        """With typing mistakes: a character is wrong, missing, doubled, or swapped with the next one."""
        written = self.reordered(name)
        for _ in range(mistakes):
            places = [at for at, each in enumerate(written[:-1]) if (each + written[at + 1]).isalpha()]
            place = self._rng.choice(places)
            one, other, rest = written[place], written[place + 1], written[place + 2 :]
            changed = self._rng.choice((self._rng.choice(_ALPHABET) + other, other, one + one + other, other + one))
            written = f"{written[:place]}{changed}{rest}"
        return " ".join(written.split())

    def with_initials(self, name: str) -> str:
        """With initials instead of given names."""
        surname, _, given = name.partition(", ")
        return " ".join([*(f"{each[0]}." for each in given.split()), surname.title()])

    def joined(self, name: str) -> str:
        """With two given names as one word."""
        surname, _, given = name.partition(", ")
        first, _, others = given.partition(" ")
        return f"{first}{others[:1].lower()}{others[1:]} {surname.title()}"

    # --- parts --------------------------------------------------------------------------------------------------------

    def _person(self) -> str:
        region = self._rng.choices(REGIONS, weights=[each.share for each in REGIONS])[0]
        common = self._rng.random() < region.common
        surname = self._frequent(region.surnames) if common else self._rare(3, region.syllables)
        if region is REGIONS[2]:  # two surnames
            surname += f" {self._frequent(region.surnames) if self._rng.random() < region.common else self._rare(3)}"
        elif region is REGIONS[0] and self._rng.random() < 1 / 3:
            surname = f"al-{surname}"
        given = [
            self._frequent(region.given) if self._rng.random() < _FREQUENT_GIVEN else self._rare(3, region.syllables)
            for _ in range(self._rng.choice(region.words))
        ]
        if region is REGIONS[1] and len(given) > 1:
            given[1] += self._rng.choice(("ovich", "evich", "ovna"))
        return f"{surname.upper()}, {' '.join(given)}"

    def _organisation(self) -> str:
        words = [self._rare(4), *self._rng.sample(_TRADES, self._rng.choice((1, 1, 2)))]
        return " ".join([*words, *self._rng.choices(_FORMS, k=self._rng.choice((0, 1, 1)))]).upper()

    def _other_name(self, name: str) -> str:
        """Another spelling, a shorter name, or another one."""
        surname, _, given = name.partition(", ")
        kind = self._rng.randrange(4)
        if kind == 0 and " " in given:
            return f"{surname}, {given.split()[0]}"
        if kind == 1:
            return f"{self._respelled(surname.lower()).upper()}, {given}"
        if kind == 2:  # noqa: PLR2004
            return f"{surname}, {self._respelled(given)}"
        return f"{self._rare(3).upper()}, {given}"

    def _respelled(self, text: str) -> str:
        changes: list[tuple[str, str]] = [("v", "w"), ("i", "y"), ("ou", "u"), ("kh", "h"), ("s", "ss"), ("e", "a")]
        possible = [each for each in changes if each[0] in text] or [("a", "e")]
        return text.replace(*self._rng.choice(possible), 1)

    def _common(self) -> str:
        if self._rng.random() < _PAYEES_OF_REGIONS:
            region = self._rng.choices(REGIONS, weights=[each.share for each in REGIONS])[0]
            return f"{self._frequent(region.given)} {self._frequent(region.surnames)}"
        return f"{self._frequent(_ELSEWHERE_GIVEN)} {self._frequent(_ELSEWHERE_SURNAMES)}"

    def _frequent(self, words: Sequence[str]) -> str:
        """A word; the first ones are more frequent, as in Zipf's law."""
        return self._rng.choices(words, weights=[1 / (5 + rank) for rank in range(len(words))])[0]

    def _rare(
        self, most: int, syllables: Sequence[str] = _of("ka lo mi ra ven dor sha tek bal uri zan pol gre hin ost")
    ) -> str:
        return "".join(self._rng.choices(syllables, k=self._rng.randint(2, most))).title()


WRITTEN: Final[dict[str, tuple[Callable[[Generator, str], str], float]]] = {
    "another order of words": (Generator.reordered, 0.97),
    "a particle more or less": (Generator.with_particle, 0.97),
    "one typing mistake": (lambda generator, name: generator.with_mistakes(name, 1), 0.97),
    "two typing mistakes": (lambda generator, name: generator.with_mistakes(name, 2), 0.88),
    "initials": (Generator.with_initials, 0.6),
    "joined given names": (Generator.joined, 0.97),
}
MAX_COMMON: Final = 0.01  # share of common names that may match

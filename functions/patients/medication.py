"""Compare a prescription with an allergy.

They conflict if they share a code of one code system, or if the prescribed substance is below the allergy's in the
Anatomical Therapeutic Chemical classification: J01CA04, amoxicillin, is one of J01C, the penicillins. Only ATC codes
show their groups. In other systems, two different codes may still mean a substance and its group; a terminology server
may know.

A code is a text `<system>|<code>`, as `functions.patients.code_systems.terms` returns it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Literal

from functions.patients.code_systems import ATC, is_atc

Reason = Literal["words only", "reference not resolved", "no common coding system", "codes without a known hierarchy"]
"""Why a prescription and an allergy could not be compared."""

Parts = Iterable[Collection[str] | None]
"""Each substance of a medication or an allergy by its codes: none if it has only words, None if it is a reference to
something unknown.
"""

_ATC = f"{ATC}|"


@dataclass(frozen=True, slots=True)
class Terminology:
    """What a terminology server has answered: the ATC codes of other codes, and pairs of a code and one it includes."""

    atc: Mapping[str, Collection[str]] = field(default_factory=dict)
    includes: Collection[tuple[str, str]] = ()

    def with_atc(self, codes: Iterable[str]) -> set[str]:
        """These codes and their ATC codes."""
        codes = set(codes)
        return codes.union(*(self.atc.get(code, ()) for code in codes))


NOTHING: Final = Terminology()


def conflict(prescribed: Iterable[str], allergens: Iterable[str], known: Terminology = NOTHING) -> bool:
    """Whether a prescription conflicts with an allergy, each given by all its codes."""
    prescribed, allergens = known.with_atc(prescribed), known.with_atc(allergens)
    if prescribed & allergens or any(pair in known.includes for pair in product(allergens, prescribed)):
        return True
    groups = tuple(_atc(allergens))
    return any(code.startswith(groups) for code in _atc(prescribed))


def unchecked(prescribed: Parts, allergens: Parts, known: Terminology = NOTHING) -> Reason | None:
    """Why it cannot be known whether they conflict; None if they were compared. Each prescribed substance must be
    comparable with each allergen.
    """
    for prescribed_part, allergen in product(prescribed, allergens):
        if reason := not_coded((prescribed_part, allergen)):
            return reason
        if reason := _unchecked(known.with_atc(prescribed_part or ()), known.with_atc(allergen or ())):
            return reason
    return None


def not_coded(parts: Parts) -> Reason | None:
    """Why a medication cannot be compared with any allergy; None if each part has a code."""
    for part in parts:
        if not part:
            return "reference not resolved" if part is None else "words only"
    return None


def _unchecked(prescribed: set[str], allergen: set[str]) -> Reason | None:
    if not _systems(prescribed) & _systems(allergen):
        return "no common coding system"
    drugs, groups = set(_atc(prescribed)), set(_atc(allergen))
    # A prescribed group may be any of its substances, so the allergen may be among them.
    if drugs and groups and not any(group.startswith(drug) for drug in drugs for group in groups - drugs):
        return None
    return None if prescribed & allergen else "codes without a known hierarchy"


def _systems(codes: Iterable[str]) -> set[str]:
    return {code.rpartition("|")[0] for code in codes}


def _atc(codes: Iterable[str]) -> Iterator[str]:
    """The ATC codes among these."""
    return (code for code in codes if code.startswith(_ATC) and is_atc(code.removeprefix(_ATC)))

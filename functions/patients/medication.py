"""When a prescription meets an allergy.

They meet where they share a code of one system, or where what is prescribed is below the allergy in the Anatomical
Therapeutic Chemical classification: J01CA04, amoxicillin, is one of J01C, the penicillins. What other systems of codes
know of substances and their kinds is the matter of a terminology server.
"""

from collections.abc import Iterable

# ATC's codes grow by level, so that a substance's begins with that of its group
# (https://www.whocc.no/atc/structure_and_principles/).
_ATC = "http://www.whocc.no/atc|"


def meet(prescribed: Iterable[str], not_borne: Iterable[str]) -> bool:
    """Whether a prescription, by its codes with their systems, is or contains what an allergy is to."""
    prescribed, not_borne = set(prescribed), set(not_borne)
    if prescribed & not_borne:
        return True
    groups = tuple(code for code in not_borne if code.startswith(_ATC) and code != _ATC)
    return any(code.startswith(groups) for code in prescribed)

"""The answers of the terminology server, kept for all patients, and the questions that are still open."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import product
from typing import Final

from daybook.contracts import clock
from daybook.store.limits import KEY_BYTES
from daybook.store.state import State
from events.patients import TerminologyQuestion
from functions.patients.code_systems import ATC
from functions.patients.medication import Terminology

# A terminology changes. An older answer still counts. While it leaves a prescription unchecked, the next update of the
# patient asks again.
_LIFETIME: Final = timedelta(days=30)  # our own choice: SNOMED CT and RxNorm have a new edition each month


class TerminologyAnswer(State, table="terminology-answers", key="question"):
    """The answer to one question. Without `atc` and `includes`, the server does not know the code."""

    question: str
    answered_at: str = ""
    code: str = ""
    member: str | None = None
    atc: tuple[str, ...] = ()
    includes: bool = False

    def is_fresh(self, now: datetime) -> bool:
        """Whether it is an answer that need not be asked for again."""
        return bool(self.answered_at) and now - clock.moment(self.answered_at) < _LIFETIME


def questions(prescribed: Iterable[str], allergens: Iterable[str]) -> Iterator[TerminologyQuestion]:
    """The questions whose answers may show whether a prescription and an allergy with these codes conflict."""
    drugs, groups = _by_system(prescribed), _by_system(allergens)
    asked = [TerminologyQuestion(system=system, code=code) for system, code in sorted({*drugs, *groups})]
    asked += [
        TerminologyQuestion(system=system, code=group, member=drug)
        for (system, group), (other, drug) in product(sorted(groups), sorted(drugs))
        if system == other and group != drug
    ]
    return (question for question in asked if len(question.key.encode()) <= KEY_BYTES)


def terminology(answers: Mapping[str, TerminologyAnswer]) -> Terminology:
    """What these answers say."""
    known = [answer for answer in answers.values() if answer.answered_at]
    return Terminology(
        atc={answer.code: [f"{ATC}|{code}" for code in answer.atc] for answer in known if answer.atc},
        includes={(answer.code, answer.member) for answer in known if answer.includes and answer.member},
    )


def _by_system(codes: Iterable[str]) -> set[tuple[str, str]]:
    """The system and the code of each, except ATC codes, which need no question."""
    split = (code.rpartition("|") for code in codes)
    return {(system, code) for system, _, code in split if system != ATC}

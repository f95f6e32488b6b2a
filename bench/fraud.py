"""How well the rules find frauds, beside the least that one could do: look at all amounts above a limit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

from bench.aims import Aim
from bench.transactions import BEGIN, DAYS, FRAUDS, Labelled, accounts
from functions.fraud.profile import Profile
from functions.fraud.rules import SUSPICIOUS, judge, score, threshold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from daybook.local.progress import Progress

# What it costs to have a person look at a transaction, in euros. No source: some minutes of an analyst's, so others are
# shown beside it. A fraud that is looked at costs nothing more, one that is not its amount.
REVIEW: Final = 10.0
_OTHER_REVIEWS: Final = (2.0, 50.0)
# The first two months teach what is usual, and are not counted: a bank knows its accounts for years.
COUNTED: Final = BEGIN + timedelta(days=60)
_CURVE: Final = (25, 30, 35, 55, 60, 65, 85, 90, 95, 120)


@dataclass(frozen=True, slots=True)
class Judged:
    """A transaction, and how suspicious somebody finds it: the more, the higher the mark."""

    labelled: Labelled
    mark: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of looking at all that is marked so high."""

    found: int
    missed: int
    for_nothing: int  # ordinary ones that were looked at
    lost: float  # euros of frauds that nobody looked at
    worth: float  # euros of all frauds

    @property
    def precision(self) -> float:
        """Of what is looked at, the part that is fraud."""
        return self.found / max(1, self.found + self.for_nothing)

    @property
    def recall(self) -> float:
        """Of all frauds, the part that is looked at."""
        return self.found / max(1, self.found + self.missed)

    @property
    def saved(self) -> float:
        """Of the money in all frauds, the part that is looked at."""
        return 1 - self.lost / self.worth if self.worth else 0.0

    def cost(self, review: float) -> float:
        """Euros: what was lost, and what it took to look."""
        return self.lost + review * (self.found + self.for_nothing)


def measure(progress: Progress, *, seed: int, customers: int) -> list[Aim]:
    """Run the rules over made-up accounts, and print what they find, miss, and cost."""
    with progress.step(f"judging the transactions of {customers} accounts in {DAYS} days, seed {seed}"):
        ours = [each for account in accounts(seed=seed, customers=customers) for each in by_rules(account)]
    amounts = [Judged(each.labelled, each.labelled.euros) for each in ours]
    at_its_best = best_limit(amounts, REVIEW)
    same_recall, rules = at_recall(amounts, outcome(ours, SUSPICIOUS).recall), outcome(ours, SUSPICIOUS)
    frauds = rules.found + rules.missed
    progress.say(f"  {len(ours)} transactions, of which {frauds} are frauds, worth {rules.worth:,.0f} EUR")
    _tell(progress, f"the rules, from {SUSPICIOUS} on", rules)
    _tell(progress, f"amounts from {at_its_best:,.0f} EUR on, their best limit", outcome(amounts, at_its_best))
    _tell(progress, f"amounts from {same_recall:,.0f} EUR on, which find as many", outcome(amounts, same_recall))
    ordinary = len(ours) - frauds
    progress.say(f"  of 1,000 ordinary transactions {1000 * rules.for_nothing / max(1, ordinary):.2f} are suspected")
    _tell_kinds(progress, ours)
    progress.say(f"  threshold: precision, recall; lost + reviews at {REVIEW:.0f} EUR = cost")
    for least in _CURVE:
        at = outcome(ours, least)
        reviews = at.cost(REVIEW) - at.lost
        progress.say(
            f"    {least:3}{'*' if least == SUSPICIOUS else ' '}  {at.precision:6.1%}  {at.recall:6.1%}  "
            f"{at.lost:9,.0f} + {reviews:9,.0f} = {at.cost(REVIEW):9,.0f}"
        )
    for review in (_OTHER_REVIEWS[0], REVIEW, _OTHER_REVIEWS[1]):
        best = outcome(amounts, best_limit(amounts, review)).cost(review)
        progress.say(
            f"  at {review:.0f} EUR a review: rules {rules.cost(review):,.0f} EUR, amounts {best:,.0f} EUR, "
            f"no reviews {rules.worth:,.0f} EUR"
        )
    return [
        Aim(
            "cost of frauds and reviews, rules to the best limit on amounts",
            rules.cost(REVIEW) / outcome(amounts, at_its_best).cost(REVIEW),
            at_most=0.5,
        ),
        Aim(
            "precision, rules to a limit on amounts that finds as many",
            rules.precision / outcome(amounts, same_recall).precision,
            at_least=5.0,
        ),
    ]


def by_rules(account: Iterable[Labelled]) -> list[Judged]:
    """The scores of an account's transactions, as the deployed function would give them, from COUNTED on.

    After a suspicion it takes less to be suspected; the scores are raised by that.
    """
    judged: list[Judged] = []
    profile = Profile.blank("acc")
    for labelled in account:
        found = score(judge(profile, labelled.transaction))
        mark = found + SUSPICIOUS - threshold(profile, labelled.transaction) if found else 0
        profile = profile.after(labelled.transaction, suspected=mark >= SUSPICIOUS)
        if labelled.transaction.posted_at >= COUNTED:
            judged.append(Judged(labelled, mark))
    return judged


def outcome(judged: Iterable[Judged], least: float) -> Outcome:
    """What comes of looking at all that has at least this mark."""
    found = missed = for_nothing = 0
    lost = worth = 0.0
    for each in judged:
        if each.labelled.case:
            worth += each.labelled.euros
            found, missed = found + (each.mark >= least), missed + (each.mark < least)
            lost += each.labelled.euros if each.mark < least else 0
        else:
            for_nothing += each.mark >= least
    return Outcome(found, missed, for_nothing, lost, worth)


def best_limit(judged: Sequence[Judged], review: float) -> float:
    """The mark from which on it is cheapest to look, known only to who knows all that is to come."""
    lost = sum(each.labelled.euros for each in judged if each.labelled.case)
    best, least = lost, float("inf")
    cost = lost
    for mark, equals in groupby(sorted(judged, key=lambda each: -each.mark), key=lambda each: each.mark):
        cost += sum(review - (each.labelled.euros if each.labelled.case else 0) for each in equals)
        if cost < best:
            best, least = cost, mark
    return least


def at_recall(judged: Sequence[Judged], recall: float) -> float:
    """The highest mark from which on so many of the frauds are looked at."""
    marks = sorted((each.mark for each in judged if each.labelled.case), reverse=True)
    wanted = round(recall * len(marks))
    return marks[max(0, wanted - 1)] if marks else float("inf")


def _tell(progress: Progress, who: str, at: Outcome) -> None:
    progress.say(
        f"  {who}: precision {at.precision:.1%}, recall {at.recall:.1%}, of the money {at.saved:.1%}; "
        f"cost {at.cost(REVIEW):,.0f} EUR "
        f"({at.lost:,.0f} lost, {at.found + at.for_nothing} reviews)"
    )


def _tell_kinds(progress: Progress, judged: Iterable[Judged]) -> None:
    """By kind of fraud: transactions, cases of which at least one was suspected, and euros of those that were."""
    frauds = [each for each in judged if each.labelled.case]
    for kind in FRAUDS:
        own = [each for each in frauds if each.labelled.kind == kind]
        suspected = [each for each in own if each.mark >= SUSPICIOUS]
        cases = {each.labelled.case for each in own}, {each.labelled.case for each in suspected}
        euros = [sum(each.labelled.euros for each in several) for several in (suspected, own)]
        progress.say(
            f"    {kind:<9} {len(suspected):4} of {len(own):4} transactions, {len(cases[1]):3} of {len(cases[0]):3} "
            f"cases, {euros[0]:9,.0f} of {euros[1]:9,.0f} EUR"
        )
    reasons = Counter(each.mark for each in judged if not each.labelled.case and each.mark >= SUSPICIOUS)
    told = ", ".join(f"{number} with {mark:.0f}" for mark, number in sorted(reasons.items()))
    progress.say(f"    ordinary ones that are suspected, by score: {told or 'none'}")

"""How well the rules find frauds, compared with the simplest alternative: review all amounts above a limit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

from bench.targets import Target
from bench.transactions import BEGIN, DAYS, FRAUDS, Labelled, accounts
from functions.fraud.profile import Profile
from functions.fraud.rules import SUSPICIOUS, judge, score, threshold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from daybook.local.progress import Progress

# The cost of one review by an analyst, in euros. An assumption (some minutes of work), so other values are shown too. A
# reviewed fraud costs nothing more; a fraud that is not reviewed costs its amount.
REVIEW: Final = 10.0
_OTHER_REVIEWS: Final = (2.0, 50.0)
# The first two months only build the profiles: a bank knows its accounts for years.
COUNTED: Final = BEGIN + timedelta(days=60)
_CURVE: Final = (30, 35, 45, 50, 55, 60, 65, 75, 90, 120)


@dataclass(frozen=True, slots=True)
class Scored:
    """A transaction and its score: the higher, the more suspicious."""

    labelled: Labelled
    score: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of reviewing all transactions from a score on."""

    true_positives: int
    false_negatives: int
    false_positives: int
    lost: float  # euros of frauds that were not reviewed
    worth: float  # euros of all frauds

    @property
    def precision(self) -> float:
        """The share of frauds among reviewed transactions."""
        return self.true_positives / max(1, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """The share of reviewed transactions among frauds."""
        return self.true_positives / max(1, self.true_positives + self.false_negatives)

    @property
    def saved(self) -> float:
        """The share of the frauds' money that was reviewed."""
        return 1 - self.lost / self.worth if self.worth else 0.0

    def cost(self, review: float) -> float:
        """Euros: losses plus the cost of reviews."""
        return self.lost + review * (self.true_positives + self.false_positives)


def measure(progress: Progress, *, seed: int, customers: int) -> list[Target]:
    """Run the rules on generated accounts, and print what they find, miss and cost."""
    with progress.step(f"scoring the transactions of {customers} accounts in {DAYS} days, seed {seed}"):
        ours = [each for account in accounts(seed=seed, customers=customers) for each in by_rules(account)]
    amounts = [Scored(each.labelled, each.labelled.euros) for each in ours]
    at_its_best = best_limit(amounts, REVIEW)
    same_recall, rules = at_recall(amounts, outcome(ours, SUSPICIOUS).recall), outcome(ours, SUSPICIOUS)
    frauds = rules.true_positives + rules.false_negatives
    progress.say(f"  {len(ours)} debits, of which {frauds} are frauds, worth {rules.worth:,.0f} EUR")
    _print_results(progress, f"rules, score at least {SUSPICIOUS}", rules)
    _print_results(
        progress, f"amounts of at least {at_its_best:,.0f} EUR, the best limit", outcome(amounts, at_its_best)
    )
    _print_results(progress, f"amounts of at least {same_recall:,.0f} EUR, same recall", outcome(amounts, same_recall))
    false_alerts = 1_000 * rules.false_positives / customers / (BEGIN + timedelta(days=DAYS) - COUNTED).days
    progress.say(
        f"  false alerts for 1,000 accounts and a day: {false_alerts:.1f}; frauds {frauds / len(ours):.2%} of all"
    )
    _print_kinds(progress, ours)
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
            f"  at {review:.0f} EUR per review: rules {rules.cost(review):,.0f} EUR, amounts {best:,.0f} EUR, "
            f"no reviews {rules.worth:,.0f} EUR"
        )
    return [
        Target(
            "cost of frauds and reviews, rules to the best limit on amounts",
            rules.cost(REVIEW) / outcome(amounts, at_its_best).cost(REVIEW),
            maximum=1.0,
        ),
        Target("precision of the rules", 100 * rules.precision, minimum=20.0, unit="%"),
        Target("false alerts for 1,000 accounts and a day", false_alerts, maximum=11.0),
    ]


def by_rules(account: Iterable[Labelled]) -> list[Scored]:
    """The scores of an account's debits, as the deployed function computes them, from COUNTED on.

    After a suspicion the threshold is lower; the scores are raised by the difference.
    """
    scored: list[Scored] = []
    profile = Profile.blank("acc")
    for labelled in account:
        if labelled.transaction.direction == "credit":
            profile = profile.after_credit(labelled.transaction)
            continue
        found = score(judge(profile, labelled.transaction))
        raised = found + SUSPICIOUS - threshold(profile, labelled.transaction) if found else 0
        profile = profile.after(labelled.transaction, suspected=raised >= SUSPICIOUS)
        if labelled.transaction.posted_at >= COUNTED:
            scored.append(Scored(labelled, raised))
    return scored


def outcome(scored: Iterable[Scored], least: float) -> Outcome:
    """The result of reviewing all transactions with at least this score."""
    found = missed = false_positives = 0
    lost = worth = 0.0
    for each in scored:
        if each.labelled.case:
            worth += each.labelled.euros
            found, missed = found + (each.score >= least), missed + (each.score < least)
            lost += each.labelled.euros if each.score < least else 0
        else:
            false_positives += each.score >= least
    return Outcome(found, missed, false_positives, lost, worth)


def best_limit(scored: Sequence[Scored], review: float) -> float:
    """The score from which reviews cost least. It can only be known in hindsight."""
    lost = sum(each.labelled.euros for each in scored if each.labelled.case)
    best, least = lost, float("inf")
    cost = lost
    for value, equals in groupby(sorted(scored, key=lambda each: -each.score), key=lambda each: each.score):
        cost += sum(review - (each.labelled.euros if each.labelled.case else 0) for each in equals)
        if cost < best:
            best, least = cost, value
    return least


def at_recall(scored: Sequence[Scored], recall: float) -> float:
    """The highest limit with at least this recall."""
    marks = sorted((each.score for each in scored if each.labelled.case), reverse=True)
    wanted = round(recall * len(marks))
    return marks[max(0, wanted - 1)] if marks else float("inf")


def _print_results(progress: Progress, who: str, at: Outcome) -> None:
    progress.say(
        f"  {who}: precision {at.precision:.1%}, recall {at.recall:.1%}, share of the money {at.saved:.1%}; "
        f"cost {at.cost(REVIEW):,.0f} EUR "
        f"({at.lost:,.0f} lost, {at.true_positives + at.false_positives} reviews)"
    )


def _print_kinds(progress: Progress, scored: Iterable[Scored]) -> None:
    """For each kind of fraud: transactions, cases with at least one suspicion, and their euros."""
    frauds = [each for each in scored if each.labelled.case]
    for kind in FRAUDS:
        own = [each for each in frauds if each.labelled.kind == kind]
        suspected = [each for each in own if each.score >= SUSPICIOUS]
        cases = {each.labelled.case for each in own}, {each.labelled.case for each in suspected}
        euros = [sum(each.labelled.euros for each in several) for several in (suspected, own)]
        progress.say(
            f"    {kind:<9} {len(suspected):4} of {len(own):4} transactions, {len(cases[1]):3} of {len(cases[0]):3} "
            f"cases, {euros[0]:9,.0f} of {euros[1]:9,.0f} EUR"
        )
    reasons = Counter(each.score for each in scored if not each.labelled.case and each.score >= SUSPICIOUS)
    counts = ", ".join(f"{number} with {value:.0f}" for value, number in sorted(reasons.items()))
    progress.say(f"    suspected ordinary transactions, by score: {counts or 'none'}")

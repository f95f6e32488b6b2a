"""The bank: transactions are counted, and looked at for fraud and compliance, and none of these holds one up.

Its first sample also says `sanctions`: the files beside it that the sanctions list is loaded from.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from daybook.local.demo.business import Business, Phase, Summary
from daybook.local.demo.driver import DemoDriver
from daybook.local.demo.samples import FOLDER
from daybook.operate.drawing import amount, table
from daybook.operate.tables import PlainTable
from events.accounts import Transaction, TransactionPosted, TransactionReversed
from events.compliance import ComplianceCaseChanged, ComplianceCaseOpened
from events.fraud import FraudSuspected
from functions.analytics.queries import of_account
from functions.compliance.sanctions_files import LEAST_LIKENESS, loading

# In one currency: what went out and what came in.
Sums = Counter[str]


class Bank(Business):
    """A day in the bank."""

    name = "bank"
    success_message = "Every account's totals are those of its transactions; each matter is one case."
    further_reading = {
        "functions/fraud/rules.py": "what makes a transaction suspicious, and what each reason weighs",
        "functions/compliance/cash.py": "how cash of one day is taken together",
        "events/accounts.py": "what a transaction must say",
    }

    def phases(self) -> tuple[Phase, Phase, Phase]:
        """The list is loaded, transactions come, and what came in the wrong order is completed."""
        return (
            Phase("loading the sanctions list", self._morning),
            Phase("posting transactions", self._noon),
            Phase("posting what was taken back before", self._evening),
        )

    def summary(self) -> Summary:
        """The accounts as they are counted, the suspicions and the cases."""
        events = list(self._events())
        transactions = [event for event in events if isinstance(event, Transaction)]
        rows, problems = [], []
        for account in sorted({each.account_id for each in transactions}):
            mine = [each for each in transactions if each.account_id == account]
            counted = self._counted(account, mine)
            rows += [
                (account, currency, *map(amount, sums.values(), [currency] * 2)) for currency, sums in counted.items()
            ]
            if counted != (right := _recomputed(mine)):
                problems.append(f"{account} is counted as {dict(counted)}; its transactions come to {dict(right)}")
        return Summary(
            tables=[
                table(
                    "The accounts, as they are counted",
                    ("account", "currency", "out", "in"),
                    rows,
                    numbers=("out", "in"),
                ),
                _suspicions(event for event in events if isinstance(event, FraudSuspected)),
                _cases([event for event in events if isinstance(event, ComplianceCaseOpened | ComplianceCaseChanged)]),
            ],
            problems=problems,
        )

    def _morning(self, driver: DemoDriver) -> None:
        files = self.first.own["sanctions"]
        texts = [(FOLDER / self.name / files[each]).read_text(encoding="utf-8") for each in ("sdn", "alt")]
        driver.expect(loading(*texts, least_likeness=LEAST_LIKENESS).write(self.system.connection))
        driver.send(self.first.entries)

    def _noon(self, driver: DemoDriver) -> None:
        self.send_samples(driver)

    def _evening(self, driver: DemoDriver) -> None:
        driver.send(entry for sample in self.samples for entry in sample.then)

    def _events(self) -> Iterator[object]:
        """All events of the bank that are in the store."""
        connection = self.system.connection
        kinds = (TransactionPosted, TransactionReversed, FraudSuspected, ComplianceCaseOpened, ComplianceCaseChanged)
        read = {kind.contract.type: kind for kind in kinds}
        for row in PlainTable(connection, connection.names.store).scan():
            if kind := read.get(row["type"]):
                yield kind.read(row["data"], version=row["version"])

    def _counted(self, account: str, transactions: Sequence[Transaction]) -> Mapping[str, Sums]:
        """What analytics has of an account, by currency."""
        days = sorted({each.posted_at.date() for each in transactions})
        sums: dict[str, Sums] = {}
        for totals in of_account(self.system.connection, account, days).values():
            for total in totals:
                mine = sums.setdefault(total.currency, Counter(debit=0, credit=0))
                mine.update(debit=total.debited, credit=total.credited)
        return dict(sorted(sums.items()))


def _recomputed(transactions: Sequence[Transaction]) -> Mapping[str, Sums]:
    """What the transactions come to, by currency."""
    sums: dict[str, Sums] = {}
    for each in transactions:
        sign = -1 if isinstance(each, TransactionReversed) else 1
        sums.setdefault(each.currency, Counter(debit=0, credit=0)).update({each.direction: sign * each.amount})
    return dict(sorted(sums.items()))


def _suspicions(suspected: Iterator[FraudSuspected]) -> Table:
    rows = [
        (
            each.account_id,
            each.authorisation_id,
            f"{each.score} of {each.threshold}",
            "; ".join(
                f"{reason.name.replace('_', ' ')} {reason.weight}"
                f" ({', '.join(f'{figure.what} {figure.value} {figure.unit}' for figure in reason.rests_on)})"
                for reason in each.reasons
            ),
        )
        for each in suspected
    ]
    return table("Suspected fraud", ("account", "transaction", "score", "because"), rows)


def _cases(told: Sequence[ComplianceCaseOpened | ComplianceCaseChanged]) -> Table:
    rows: list[tuple[Any, ...]] = []
    for opened in [each for each in told if isinstance(each, ComplianceCaseOpened)]:
        bases = [each.basis for each in told if each.case_id == opened.case_id]
        basis = max(bases, key=lambda basis: basis.count)
        sums = ", ".join(f"{amount(each.amount, each.currency)} {each.currency}" for each in basis.sums)
        rows.append((opened.case_id, opened.legal_source, sums, ", ".join(basis.transactions)))
    return table("Cases for compliance", ("case", "by", "sum", "rests on"), sorted(rows))

"""The bank: transactions are added up and checked for fraud and compliance.

`sanctions` in the first sample names the files from which the sanctions list is loaded.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
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
from functions.compliance.sanctions_files import read_list

# Minor units in one currency, by direction.
Sums = Counter[str]


class Bank(Business):
    """The samples of the bank."""

    name = "bank"
    success_message = "The totals of every account equal the sums of its transactions."
    further_reading = {
        "functions/fraud/rules.py": "the rules for suspected fraud, and their weights",
        "functions/compliance/cash.py": "how cash of one day is added up",
        "events/accounts.py": "the fields of a transaction",
    }

    def phases(self) -> tuple[Phase, Phase, Phase]:
        """Load the list, post transactions, then post those whose reversals arrived first."""
        return (
            Phase("loading the sanctions list", self._load_list),
            Phase("posting transactions", self._post),
            Phase("posting the transactions that were reversed before", self._post_reversed),
        )

    def summary(self) -> Summary:
        """Totals of the accounts, suspicions and cases."""
        events = list(self._events())
        transactions = [event for event in events if isinstance(event, Transaction)]
        rows, problems = [], []
        for account in sorted({each.account_id for each in transactions}):
            own = [each for each in transactions if each.account_id == account]
            counted, expected = self._counted(account, own), _recomputed(own)
            rows += [
                (account, currency, *map(amount, sums.values(), [currency] * 2)) for currency, sums in counted.items()
            ]
            if counted != expected:
                problems.append(f"{account} has the totals {dict(counted)}; the sums are {dict(expected)}")
        return Summary(
            tables=[
                table("Totals of accounts", ("account", "currency", "out", "in"), rows, numbers=("out", "in")),
                _suspicions([event for event in events if isinstance(event, FraudSuspected)]),
                _cases([event for event in events if isinstance(event, ComplianceCaseOpened | ComplianceCaseChanged)]),
            ],
            problems=problems,
        )

    def _load_list(self, driver: DemoDriver) -> None:
        files = self.first.own["sanctions"]
        texts = [(each, (FOLDER / self.name / files[each]).read_text(encoding="utf-8")) for each in ("sdn", "alt")]
        driver.expect(read_list(texts, active={}).write(self.system.connection))
        driver.send(self.first.entries)

    def _post(self, driver: DemoDriver) -> None:
        self.send_samples(driver)

    def _post_reversed(self, driver: DemoDriver) -> None:
        driver.send(entry for sample in self.samples for entry in sample.then)

    def _events(self) -> Iterator[object]:
        """All events of the bank in the event store."""
        connection = self.system.connection
        types = (TransactionPosted, TransactionReversed, FraudSuspected, ComplianceCaseOpened, ComplianceCaseChanged)
        by_name = {each.contract.type: each for each in types}
        for row in PlainTable(connection, connection.names.store).scan():
            if event_type := by_name.get(row["type"]):
                yield event_type.read(row["data"], version=row["version"])

    def _counted(self, account: str, transactions: Sequence[Transaction]) -> Mapping[str, Sums]:
        """The totals of an account in analytics, by currency."""
        days = sorted({each.posted_at.astimezone(UTC).date() for each in transactions})
        sums: dict[str, Sums] = {}
        for totals in of_account(self.system.connection, account, days).values():
            for total in totals:
                of_currency = sums.setdefault(total.currency, Counter(debit=0, credit=0))
                of_currency.update(debit=total.debited, credit=total.credited)
        return dict(sorted(sums.items()))


def _recomputed(transactions: Sequence[Transaction]) -> Mapping[str, Sums]:
    """The sums of the transactions, by currency."""
    sums: dict[str, Sums] = {}
    for each in transactions:
        sign = -1 if isinstance(each, TransactionReversed) else 1
        sums.setdefault(each.currency, Counter(debit=0, credit=0)).update({each.direction: sign * each.amount})
    return dict(sorted(sums.items()))


def _suspicions(suspicions: Sequence[FraudSuspected]) -> Table:
    rows = [
        (
            each.account_id,
            each.authorisation_id,
            f"{each.score} of {each.threshold}",
            "; ".join(
                f"{reason.name.replace('_', ' ')} {reason.weight}"
                f" ({', '.join(f'{figure.name} {figure.value} {figure.unit}' for figure in reason.figures)})"
                for reason in each.reasons
            ),
        )
        for each in suspicions
    ]
    return table("Suspected fraud", ("account", "transaction", "score", "reasons"), rows)


def _cases(events: Sequence[ComplianceCaseOpened | ComplianceCaseChanged]) -> Table:
    rows: list[tuple[Any, ...]] = []
    for opened in [each for each in events if isinstance(each, ComplianceCaseOpened)]:
        bases = [each.basis for each in events if each.case_id == opened.case_id]
        basis = max(bases, key=lambda basis: basis.count)
        sums = ", ".join(f"{amount(each.amount, each.currency)} {each.currency}" for each in basis.sums)
        rows.append((opened.case_id, opened.legal_source, sums, ", ".join(basis.transactions)))
    return table("Compliance cases", ("case", "rule", "sum", "transactions"), sorted(rows))

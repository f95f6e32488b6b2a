"""Compliance."""

from constructs import Construct

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.accounts import TransactionPosted, TransactionReversed
from events.compliance import (
    ExchangeRateSet,
    ReportingThresholdSet,
    SanctionsListLoaded,
    SanctionsMatchDecided,
    ScreeningDue,
)


class Compliance(Service):
    """Checks cash against thresholds and transfers against sanctions lists. Each case is one row."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "compliance", stage=stage)
        thresholds, rates, cases = self.table("thresholds"), self.table("rates"), self.table("cases")
        transactions, days = self.table("cash-transactions"), self.table("cash-days")
        recent = self.table("recent-cash")
        # Only `daybook sanctions load` writes the content of lists.
        active, lists = self.table("sanctions"), self.table("sanctions-lists")
        decisions = self.table("sanctions-decisions")
        cash = [transactions, days, recent, cases]
        self.reaction("set_threshold", ReportingThresholdSet, reads=[thresholds], saves=[thresholds])
        self.reaction("set_rate", ExchangeRateSet, reads=[rates], saves=[rates])
        self.reaction("activate_list", SanctionsListLoaded, reads=[active, lists], saves=[active])
        self.reaction("decide_match", SanctionsMatchDecided, reads=[decisions], saves=[decisions])
        known = [self.table("counterparties"), self.table("counterparty-blocks")]
        screening = [active, lists, decisions]
        self.reaction(
            "screen_transaction",
            TransactionPosted,
            reads=[*cash, *known, thresholds, rates, *screening],
            saves=[*cash, *known, rates],
        )
        self.reaction("screen_again", ScreeningDue, reads=[*known, *screening, cases], saves=[cases])
        self.reaction("screen_reversal", TransactionReversed, reads=cash, saves=cash)

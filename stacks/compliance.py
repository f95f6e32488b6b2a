"""Compliance."""

from constructs import Construct

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.accounts import TransactionPosted, TransactionReversed
from events.compliance import ReportingThresholdSet, SanctionsListLoaded


class Compliance(Service):
    """Cash and transfers, judged by thresholds and a sanctions list. One row decides about each case."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "compliance", stage=stage)
        thresholds, cases = self.table("thresholds"), self.table("cases")
        transactions, days, near = (
            self.table("cash-transactions"),
            self.table("cash-days"),
            self.table("near-threshold"),
        )
        # The content of lists is written by the operator's command alone.
        in_force, lists = self.table("sanctions"), self.table("sanctions-lists")
        counted = [transactions, days, near, cases]
        self.reaction("set_threshold", ReportingThresholdSet, reads=[thresholds], saves=[thresholds])
        self.reaction("adopt_list", SanctionsListLoaded, reads=[in_force, lists], saves=[in_force])
        self.reaction(
            "screen_transaction", TransactionPosted, reads=[*counted, thresholds, in_force, lists], saves=counted
        )
        self.reaction("screen_reversal", TransactionReversed, reads=counted, saves=counted)

"""Analytics."""

from constructs import Construct

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.accounts import TransactionPosted, TransactionReversed


class Analytics(Service):
    """Totals of transactions by account and day, by merchant and day, and by minute."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "analytics", stage=stage)
        rows = [self.table("account-days"), self.table("merchant-days"), self.table("minutes")]
        self.view("tally_transaction", TransactionPosted, rows=rows)
        self.view("tally_reversal", TransactionReversed, rows=rows)

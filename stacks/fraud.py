"""Fraud."""

from constructs import Construct

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.accounts import TransactionPosted


class Fraud(Service):
    """Compares each transaction with the profile of its account, which is one row."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "fraud", stage=stage)
        profiles = self.table("fraud-profiles")
        self.reaction("score_transaction", TransactionPosted, reads=[profiles], saves=[profiles])

"""Fraud."""

from constructs import Construct

from events.accounts import TransactionPosted
from stacks.service import Service
from stacks.stage import Stage


class Fraud(Service):
    """One row remembers what each account does as a rule; what is unlike it is suspected."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "fraud", stage=stage)
        profiles = self.table("fraud-profiles")
        self.reaction("score_transaction", TransactionPosted, reads=[profiles], saves=[profiles])

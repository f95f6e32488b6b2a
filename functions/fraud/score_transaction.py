"""Compare a transaction with the profile of its account, and emit FraudSuspected if it looks like fraud.

The function handles the events of an account in the order of its stream. So the same transactions always give the same
profile and the same suspicions, even after an outage. It fails for no transaction, because a failure would block the
account's stream.

A reversal does not change the profile. To subtract a transaction, the profile would have to keep all of them. And a
second function that writes to it would have an order of its own, so the same events could give different rows. One
amount changes a habit only little.
"""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.accounts import TransactionPosted
from events.fraud import FraudSuspected
from functions.fraud.profile import Profile
from functions.fraud.rules import judge, score, threshold


@reaction(TransactionPosted, emits=(FraudSuspected,), ordered=True)
def handler(transaction: TransactionPosted, work: Work) -> None:
    profile = work.read(Profile, transaction.account_id)
    if transaction.direction == "credit":  # fraud takes money from an account, so credits are only remembered
        work.save(profile.after_credit(transaction))
        return
    reasons = judge(profile, transaction)
    needed = threshold(profile, transaction)
    suspected = score(reasons) >= needed
    work.save(profile.after(transaction, suspected=suspected))
    if suspected:
        work.emit(
            FraudSuspected(
                authorisation_id=transaction.authorisation_id,
                account_id=transaction.account_id,
                customer_id=transaction.customer_id,
                amount=transaction.amount,
                currency=transaction.currency,
                channel=transaction.channel,
                country=transaction.location.country if transaction.location else "",
                posted_at=transaction.posted_at,
                score=score(reasons),
                threshold=needed,
                reasons=reasons,
            )
        )

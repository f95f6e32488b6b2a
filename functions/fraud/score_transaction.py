"""Look whether a transaction is so unlike its account that somebody may have stolen it.

In the order of the account's stream, so that the same transactions leave the same profile and the same suspicions,
however long this function was away. Nothing in a transaction is a reason to reject it here: the account's stream would
be blocked, and the account unwatched.

What is reversed is not taken out of the profile again. To know what it had added, the profile would have to keep every
transaction; and a second function that wrote to it would have an order of its own, so that the same events would not
always leave the same row. One amount moves a habit by little.
"""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.accounts import TransactionPosted
from events.fraud import FraudSuspected
from functions.fraud.profile import Profile
from functions.fraud.rules import judge, score, threshold


@reaction(TransactionPosted, emits=(FraudSuspected,), ordered=True)
def handler(transaction: TransactionPosted, work: Work) -> None:
    if transaction.direction == "credit":  # nobody steals by paying in
        return
    profile = work.read(Profile, transaction.account_id)
    reasons = judge(profile, transaction)
    enough = threshold(profile, transaction)
    suspected = score(reasons) >= enough
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
                country=transaction.where.country if transaction.where else "",
                posted_at=transaction.posted_at,
                score=score(reasons),
                threshold=enough,
                reasons=reasons,
            )
        )

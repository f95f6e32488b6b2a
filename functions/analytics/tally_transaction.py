"""Count what has moved."""

from daybook.consumers.view import Add, view
from events.accounts import TransactionPosted
from functions.analytics.tally import tally


@view(TransactionPosted)
def handler(transaction: TransactionPosted) -> list[Add]:
    return tally(transaction, times=1)

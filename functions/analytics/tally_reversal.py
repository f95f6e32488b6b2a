"""Count what was taken back no more."""

from daybook.consumers.view import Add, view
from events.accounts import TransactionReversed
from functions.analytics.tally import tally


@view(TransactionReversed)
def handler(reversal: TransactionReversed) -> list[Add]:
    return tally(reversal, times=-1)

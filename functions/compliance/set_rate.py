"""Store a rate. It applies to transactions that are screened from now on, not to earlier ones."""

from typing import Final

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.compliance import ExchangeRateSet
from functions.compliance.rates import RateRow, RevisedRate

_MAX_RATES: Final = 400  # kept of one currency: the newest ones, more than a year of business days


@reaction(ExchangeRateSet)
def handler(new: ExchangeRateSet, work: Work) -> None:
    row = work.read(RateRow, new.currency)
    if new.valid_from in row.since and new.revision <= row.since[new.valid_from].revision:
        return
    since = {**row.since, new.valid_from: RevisedRate(rate=new.rate, revision=new.revision)}
    work.save(row.evolve(since=dict(sorted(since.items())[-_MAX_RATES:])))

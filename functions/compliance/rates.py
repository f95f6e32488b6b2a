"""Rates into the reporting currency, by currency and first business day."""

from datetime import date
from typing import Final

from daybook.consumers.work import Work
from daybook.contracts.contract import Part
from daybook.contracts.values import RECORDED_MINOR_UNIT_DIGITS
from daybook.store.state import State
from events.accounts import REPORTING_CURRENCY, Transaction
from events.compliance import ExchangeRateMissing
from functions.compliance.thresholds import newest

_MAX_DAYS_WITHOUT_RATE: Final = 60  # kept in a row, so that it cannot grow without limit


class RevisedRate(Part):
    """A rate, as decimal text, and its revision."""

    rate: str
    revision: int


class RateRow(State, table="rates", key="currency"):
    """The rates of one currency, by the first day on which each applies, and the days on which one was missing."""

    currency: str
    since: dict[date, RevisedRate] = {}
    missing: tuple[date, ...] = ()


def rate_of(work: Work, transaction: Transaction, day: date) -> str | None:
    """The rate of a transaction on its business day: its own one, else the loaded one.

    None if there is none: then it counts in its own currency, and the first transaction of the day says so. None also
    for the reporting currency.
    """
    if transaction.currency == REPORTING_CURRENCY:
        return None
    return transaction.reporting_rate or _loaded_rate(work.read(RateRow, transaction.currency), day)


def _loaded_rate(row: RateRow, day: date) -> str | None:
    found = newest(row.since, day)
    return found.rate if found else None


def report_missing(work: Work, currency: str, day: date) -> None:
    """Emit ExchangeRateMissing, once for each currency and business day."""
    row = work.read(RateRow, currency)
    if day not in row.missing:
        work.save(row.evolve(missing=sorted((*row.missing, day))[-_MAX_DAYS_WITHOUT_RATE:]))
        work.emit(ExchangeRateMissing(currency=currency, business_day=day))


def converted(amount: int, currency: str, rate: str) -> int:
    """Minor units of the reporting currency for minor units of a currency, rounded half up. Exact: without floats."""
    units, _, decimals = rate.partition(".")
    numerator: int = amount * int(units + decimals) * 10 ** RECORDED_MINOR_UNIT_DIGITS[REPORTING_CURRENCY]
    denominator: int = 10 ** (len(decimals) + RECORDED_MINOR_UNIT_DIGITS[currency])
    return (2 * numerator + denominator) // (2 * denominator)

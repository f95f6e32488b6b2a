"""Moments as operators say them: `15m` ago, `2h` ago, or 2026-03-01T09:30:00Z."""

import re
from datetime import datetime, timedelta

from backbone import clock
from backbone.journal import Span
from ops.errors import OperatorError

_AGO = re.compile(r"(?P<number>\d{1,6})(?P<unit>[smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
# A year is 70,000 partitions of the journal; what is longer would look as if it hung.
_LONGEST = timedelta(days=366)

# What clocks of this machine and of AWS may differ by without an event being overlooked.
CLOCKS_DIFFER = timedelta(minutes=1)
# An index of DynamoDB lags by moments, under load by more.
INDEX_LAG = timedelta(minutes=5)


class BadMoment(OperatorError):
    """A time is not of a form that is understood, or the span that it makes is not one that can be read."""


def moment(text: str, now: datetime) -> datetime:
    """The aware datetime that `text` means at `now`. Raises BadMoment."""
    if match := _AGO.fullmatch(text.strip()):
        try:
            return now - int(match["number"]) * _UNITS[match["unit"]]
        except OverflowError as error:
            msg = f"{text!r} ago is before all calendars"
            raise BadMoment(msg) from error
    try:
        return clock.moment(text.strip())
    except (ValueError, OverflowError) as error:
        msg = f"{text!r} is not a time; say 15m, 2h, 3d, or 2026-03-01T09:30:00Z with its zone"
        raise BadMoment(msg) from error


def span(since: str, until: str | None, now: datetime) -> Span:
    """From `since` to `until`, or to the newest there is. Raises BadMoment."""
    made = Span(moment(since, now), moment(until, now) if until else now + CLOCKS_DIFFER)
    if made.since >= made.until:
        msg = f"--since {since} is not before --until {until or 'now'}"
        raise BadMoment(msg)
    if made.until - made.since > _LONGEST:
        msg = f"that is more than {_LONGEST.days} days; ask for less at once by --since and --until"
        raise BadMoment(msg)
    return made

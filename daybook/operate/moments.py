"""Moments as operators write them: `15m` ago, `2h` ago, or 2026-03-01T09:30:00Z."""

import re
from datetime import UTC, date, datetime, timedelta

from daybook.contracts import clock
from daybook.operate.errors import OperatorError
from daybook.store.journal import Span

_AGO = re.compile(r"(?P<number>\d{1,6})(?P<unit>[smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
# A year is 70,000 partitions of the journal; a longer span would seem to hang.
_LONGEST = timedelta(days=366)
# Each minute is a hundred rows.
_LONGEST_BY_MINUTES = timedelta(days=1)

# The most that the clocks of this machine and of AWS may differ without an event being missed.
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


def days(since: str, until: str | None, now: datetime) -> list[date]:
    """The days of UTC from `since` to `until`, or to the present one, both included. Raises BadMoment."""
    first, last = _day(since, now), _day(until, now) if until else now.astimezone(UTC).date()
    if first > last:
        msg = f"--since {since} is after --until {until or 'today'}"
        raise BadMoment(msg)
    _is_no_longer_than(_LONGEST, last - first)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def minutes(since: str, until: str | None, now: datetime) -> list[datetime]:
    """The beginnings of the minutes from that of `since` to `until`, or to the present one. Raises BadMoment."""
    asked = Span(moment(since, now), moment(until, now) if until else now)
    checked(asked, since, f"--until {until or 'now'}", _LONGEST_BY_MINUTES)
    first = asked.since.replace(second=0, microsecond=0)
    return [first + timedelta(minutes=number) for number in range(-((first - asked.until) // timedelta(minutes=1)))]


def span(since: str, until: str | None, now: datetime) -> Span:
    """From `since` to `until`, or to the newest there is. Raises BadMoment."""
    asked = Span(moment(since, now), moment(until, now) if until else now + CLOCKS_DIFFER)
    return checked(asked, since, f"--until {until or 'now'}", _LONGEST)


def checked(asked: Span, since: str | None, end: str, longest: timedelta = timedelta.max) -> Span:
    """The span, if it is one: `since` and `end` are the operator's words for its ends. Raises BadMoment."""
    if asked.since >= asked.until:
        msg = f"--since {since} is not before {end}"
        raise BadMoment(msg)
    _is_no_longer_than(longest, asked.until - asked.since)
    return asked


def _day(text: str, now: datetime) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return moment(text, now).date()


def _is_no_longer_than(longest: timedelta, asked: timedelta) -> None:
    if asked > longest:
        days = "a day" if longest == timedelta(days=1) else f"{longest.days} days"
        msg = f"that is more than {days}; ask for less at once by --since and --until"
        raise BadMoment(msg)

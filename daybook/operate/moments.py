"""Parses times that operators write: `15m` ago, `2h` ago, or 2026-03-01T09:30:00Z."""

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
# A year of the journal has 70,000 partitions with 8 shards, and 560,000 with 64.
_MAX_DAYS = timedelta(days=366)
# Each minute has a hundred rows.
_MAX_MINUTES = timedelta(days=1)

# The difference between the clocks of this machine and of AWS that is tolerated.
CLOCKS_DIFFER = timedelta(minutes=1)
# A DynamoDB index usually lags by less than a second; under load by more.
INDEX_LAG = timedelta(minutes=5)


class InvalidTime(OperatorError):
    """A time cannot be parsed, or the period is empty or too long."""


def moment(text: str, now: datetime) -> datetime:
    """The time that `text` means at `now`, with a time zone. Raises InvalidTime."""
    if match := _AGO.fullmatch(text.strip()):
        try:
            return now - int(match["number"]) * _UNITS[match["unit"]]
        except OverflowError as error:
            raise InvalidTime(f"{text!r} ago is before the year 1") from error
    try:
        return clock.moment(text.strip())
    except (ValueError, OverflowError) as error:
        raise InvalidTime(
            f"{text!r} is not a time; use 15m, 2h, 3d, or a time with its zone: 2026-03-01T09:30:00Z"
        ) from error


def days(since: str, until: str | None, now: datetime) -> list[date]:
    """The days in UTC from `since` to `until` or today, both included. Raises InvalidTime."""
    first, last = _day(since, now), _day(until, now) if until else now.astimezone(UTC).date()
    if first > last:
        raise InvalidTime(f"--since {since} is after --until {until or 'today'}")
    _check_length(_MAX_DAYS, last - first)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def minutes(since: str, until: str | None, now: datetime) -> list[datetime]:
    """The start times of the minutes from `since` to `until` or now. Raises InvalidTime."""
    asked = Span(moment(since, now), moment(until, now) if until else now)
    checked(asked, since, f"--until {until or 'now'}", _MAX_MINUTES)
    first = asked.since.replace(second=0, microsecond=0)
    return [first + timedelta(minutes=number) for number in range(-((first - asked.until) // timedelta(minutes=1)))]


def span(since: str, until: str | None, now: datetime) -> Span:
    """The period from `since` to `until`, or to the newest event. Raises InvalidTime."""
    asked = Span(moment(since, now), moment(until, now) if until else now + CLOCKS_DIFFER)
    return checked(asked, since, f"--until {until or 'now'}", _MAX_DAYS)


def checked(asked: Span, since: str | None, end: str, longest: timedelta = timedelta.max) -> Span:
    """The span, if it is valid. `since` and `end` are used in the error. Raises InvalidTime."""
    if asked.since >= asked.until:
        raise InvalidTime(f"--since {since} is not before {end}")
    _check_length(longest, asked.until - asked.since)
    return asked


def _day(text: str, now: datetime) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return moment(text, now).date()


def _check_length(longest: timedelta, asked: timedelta) -> None:
    if asked > longest:
        days = "a day" if longest == timedelta(days=1) else f"{longest.days} days"
        raise InvalidTime(f"the period is longer than {days}; use --since and --until")

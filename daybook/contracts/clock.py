"""Times as text: RFC 3339 in UTC with six decimals. All texts have the same length, so text order is time order."""

from datetime import UTC, datetime, timedelta

# The clocks of two processes differ by less than this: they are synchronised by the Amazon Time Sync Service
# (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/set-time.html). Two seconds are an assumption.
_MAX_CLOCK_DIFFERENCE = timedelta(seconds=2)


def now() -> str:
    """The current time, to the microsecond: `2026-03-01T09:30:00.000000Z`."""
    return timestamp(datetime.now(UTC))


def lease(seconds: float) -> str:
    """The time until which a process may hold something if it ends within `seconds`, by the clock of any process."""
    return timestamp(datetime.now(UTC) + timedelta(seconds=seconds) + _MAX_CLOCK_DIFFERENCE)


def timestamp(moment: datetime) -> str:
    """An aware datetime as text. Raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        msg = "the time has no time zone; add a UTC offset"
        raise ValueError(msg)
    # Not strftime: its %Y writes the year 999 with three digits.
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def offset_timestamp(moment: datetime) -> str:
    """An aware datetime as text in its own UTC offset: `2026-03-01T18:30:00.000000+09:00`."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """An RFC 3339 time with a time zone, as an aware datetime in UTC. Raises ValueError for any other text."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        msg = "the time has no time zone; add Z or a UTC offset"
        raise ValueError(msg)
    try:
        return parsed.astimezone(UTC)
    except OverflowError as error:
        msg = "the time is out of range in UTC"
        raise ValueError(msg) from error

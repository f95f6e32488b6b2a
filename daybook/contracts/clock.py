"""Times as text: RFC 3339 in UTC with six decimals, always as long, so that text sorts as time does."""

from datetime import UTC, datetime


def now() -> str:
    """This moment, to the microsecond: `2026-03-01T09:30:00.000000Z`."""
    return timestamp(datetime.now(UTC))


def timestamp(moment: datetime) -> str:
    """An aware datetime as text. Raises ValueError for a naive one, whose zone would have to be guessed."""
    if moment.tzinfo is None:
        msg = "a time without a zone cannot be placed; give it a UTC offset"
        raise ValueError(msg)
    # Not strftime: its %Y gives the year 999 three digits.
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """Any RFC 3339 time with a zone as an aware datetime in UTC. Raises ValueError for anything else."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        msg = "a time without a zone cannot be placed; end it in Z or give it a UTC offset"
        raise ValueError(msg)
    try:
        return parsed.astimezone(UTC)
    except OverflowError as error:
        msg = "the time is outside of the calendar in UTC"
        raise ValueError(msg) from error

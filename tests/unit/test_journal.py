"""The journal returns exactly the events of a period, in any time zone."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from daybook.store.journal import Journal, Span
from daybook.testing.world import NAMES, World
from tests.application.builders import received_books, recorded

KOLKATA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize("zone", [UTC, KOLKATA], ids=str)
def test_a_period_contains_its_start_and_not_its_end(world: World, zone: timezone) -> None:
    since, until = datetime(2026, 3, 1, 5, 50, tzinfo=UTC), datetime(2026, 3, 1, 7, 10, tzinfo=UTC)
    span = Span(since.astimezone(zone), until.astimezone(zone))
    times = ["05:49:59.999999", "05:50:00.000000", "06:30:00.000000", "07:09:59.999999", "07:10:00.000000"]
    for number, time in enumerate(times):
        world.append(recorded(received_books(f"isbn-{number}"), now=f"2026-03-01T{time}Z"))

    journal = Journal(world.client, NAMES.store, world.shards)
    found = [line.stream for hour in journal.hours(span) for bucket in hour for line in journal.entries(bucket, span)]

    assert sorted(found) == ["book/isbn-1", "book/isbn-2", "book/isbn-3"]

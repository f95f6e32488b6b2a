"""The journal names every event of a span of time, wherever on earth the span was given."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from daybook.store.journal import Journal, Span
from tests.unit.builders import goods, recorded
from tests.unit.world import NAMES, World

KOLKATA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize("zone", [UTC, KOLKATA], ids=str)
def test_a_span_finds_its_first_moment_and_its_last_and_no_other(world: World, zone: timezone) -> None:
    since, until = datetime(2026, 3, 1, 5, 50, tzinfo=UTC), datetime(2026, 3, 1, 7, 10, tzinfo=UTC)
    span = Span(since.astimezone(zone), until.astimezone(zone))
    times = ["05:49:59.999999", "05:50:00.000000", "06:30:00.000000", "07:09:59.999999", "07:10:00.000000"]
    for number, time in enumerate(times):
        world.append(recorded(goods(f"sku-{number}"), now=f"2026-03-01T{time}Z"))

    journal = Journal(world.client, NAMES.store)
    found = [line.stream for hour in span.hours() for bucket in hour for line in journal.lines(bucket, span)]

    assert sorted(found) == ["stock/sku-1", "stock/sku-2", "stock/sku-3"]

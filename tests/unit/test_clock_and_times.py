"""Times are stored as text in UTC, which sorts by time."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybook.contracts import clock
from daybook.contracts.contract import ContractBroken
from tests.unit.contracts import MeterRead

zones = st.integers(min_value=-14 * 60, max_value=14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - Hypothesis adds the time zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=zones,
)


@given(moments, moments)
def test_timestamps_sort_by_time(one: datetime, other: datetime) -> None:
    assert (clock.timestamp(one) < clock.timestamp(other)) == (one < other)


@given(moments)
def test_a_time_is_read_back_to_the_microsecond(moment: datetime) -> None:
    assert clock.moment(clock.timestamp(moment)) == moment
    assert len(clock.timestamp(moment)) == len("2026-03-01T09:30:00.000000Z")


@pytest.mark.parametrize(
    "text", ["2026-03-01T09:30:00", "2026-03-01", "", "yesterday", "09:30Z", "2026-02-30T00:00:00Z"]
)
def test_text_that_is_not_a_time_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        clock.moment(text)


def test_a_time_outside_of_the_calendar_in_utc_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"."):
        clock.moment("0001-01-01T00:00:00+14:00")


def test_a_time_without_a_time_zone_is_an_error() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        clock.timestamp(datetime(2026, 3, 1))  # noqa: DTZ001 - the subject of the test


def test_now_is_the_current_time() -> None:
    before = datetime.now(UTC)

    assert before <= clock.moment(clock.now()) <= datetime.now(UTC)


def a_reading(at: object) -> str:
    return json.dumps({"meter_id": "m1", "at": at})


@pytest.mark.parametrize(
    "at",
    ["2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000+00:00", "2026-03-01T17:30:00+05:30", "2026-03-01T03:00:00-09:00"],
)
def test_a_time_in_another_time_zone_becomes_utc(at: str) -> None:
    reading = MeterRead.read(a_reading(at), version=1)

    assert json.loads(reading.to_json())["at"] == "2026-03-01T12:00:00.000000Z"


@pytest.mark.parametrize(
    "at", ["2026-03-01T12:00:00", "noon", "", None, True, 1772366400, [], "0001-01-01T00:00:00+14:00"]
)
def test_an_invalid_time_breaks_the_contract(at: object) -> None:
    with pytest.raises(ContractBroken, match="at"):
        MeterRead.read(a_reading(at), version=1)

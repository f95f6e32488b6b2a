"""Card numbers in texts are found and removed. Other numbers and ids are not taken for card numbers."""

import uuid
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybook.contracts.card_numbers import REMOVED, has_card_number, is_card_number, without_card_numbers

CARD = "4111111111111111"
_MANY = 100_000
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@pytest.mark.parametrize(
    "text",
    [
        CARD,
        "4111 1111 1111 1111 123",
        "visa 4111-1111-1111-1111, cvc 123, 12/27",
        "4111 - 1111 - 1111 - 1111",
        "\u0664" + "\u0661\u0661\u0661 \u0661" * 3 + "\u0661\u0661\u0661",  # Arabic digits
        "\uff14" + "\uff11" * 15,  # full-width digits
        "4111\u20111111\u20131111\u20121111",  # a non-breaking hyphen, an en dash, a figure dash
        "4111\u00a01111\u202f1111\u20091111",  # spaces of other kinds
        "4111\u200b1111\u20601111\u00ad1111",  # characters that nobody sees
        "card4111111111111111",
        "+4111111111111111",
        "123,4111111111111111,12/27",
        "3782 822463 10005",
        "4111111111111111 5555555555554444",
        "order/4111%201111%201111%201111",
        r'{"inner": "\u0664111111111111111"}',
    ],
)
def test_a_card_number_is_found_and_removed(text: str) -> None:
    assert has_card_number(text)

    cleaned = without_card_numbers(text)

    assert REMOVED in cleaned
    assert not has_card_number(cleaned)
    assert "1111" not in cleaned
    assert "123" not in cleaned.replace("123,", "")


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # the check digit is wrong
        "+49 151 12345678",
        "+43 1 58801 12345",
        "arn:aws:events:eu-central-1:501234567890:rule/x",
        "48.4111111111111111",  # a fraction
        "2041 2043 2037 2047 2060 2062 2051 2023 2014 2027 2034 2033 2040 2047",  # an ECG, as in FHIR's SampledData
        "GB29NWBK60161331926819",
        "RM123456789GB",
        "pm_card_visa",
        "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "00000000-4111-1111-8111-111111111111",
    ],
)
def test_another_number_stays(text: str) -> None:
    assert not has_card_number(text)
    assert without_card_numbers(text) == text


# Guards: the prefix, the length, the check digit, and which digits belong together.
def test_random_ids_and_times_are_not_taken_for_card_numbers() -> None:
    random = Random(1)  # noqa: S311 - reproducible
    begin = datetime(2000, 1, 1, tzinfo=UTC)
    microseconds = [random.randrange(10**15, 2 * 10**15) for _ in range(_MANY)]  # since 1970: from 2001 to 2033
    times = [begin + timedelta(microseconds=each - 10**15) for each in microseconds]
    texts = {
        "uuid": (str(uuid.UUID(int=random.getrandbits(128), version=4)) for _ in range(_MANY)),
        "ulid": ("0" + "".join(random.choices(_CROCKFORD, k=25)) for _ in range(_MANY)),
        "seconds": (str(each // 1_000_000) for each in microseconds),
        "milliseconds": (str(each // 1_000) for each in microseconds),
        "microseconds": map(str, microseconds),
        "ISO date and time": (time.isoformat() for time in times),
        "ISO date": (f"{time:%Y-%m-%d}" for time in times),
    }

    assert [(kind, each) for kind, several in texts.items() for each in several if has_card_number(each)] == []


@st.composite
def card_numbers(draw: st.DrawFn) -> str:
    """A Visa or Mastercard number with a valid check digit."""
    body = (
        draw(st.sampled_from("45"))
        + draw(st.sampled_from("12345"))
        + draw(st.text("0123456789", min_size=13, max_size=13))
    )
    return next(body + digit for digit in "0123456789" if is_card_number(body + digit))


@given(
    card_numbers(),
    st.lists(st.integers(1, 15), unique=True),
    st.sampled_from(" -\u2013\u00a0\u200b"),
    st.text("äé:;/,(\n"),
)
def test_any_grouping_is_found_in_any_text(number: str, places: list[int], separator: str, around: str) -> None:
    grouped = "".join(separator + digit if place in places else digit for place, digit in enumerate(number))

    assert without_card_numbers(around + grouped + around) == around + REMOVED + around

"""Which transactions admit accepts: dates in the sender's offset, and withdrawn currencies."""

from typing import Any

import pytest

from events.accounts import TransactionPosted
from tests.unit.bank.compliance import Compliance
from tests.unit.bank.payments import Account, a_payment
from tests.unit.builders import sent
from tests.unit.world import World


def admitted(world: World, **data: Any) -> bool:
    """Send a card payment with these data. Returns whether admit accepted it."""
    world.admit(
        sent(dict(TransactionPosted.example) | data, type="TransactionPosted", source="bank.core", metadata=None)
    )
    return bool(world.recorded())


def reason(world: World) -> str:
    """Why the only event was rejected."""
    (dead_letter,) = world.dead_letters()
    return dead_letter.attributes["reason"]


# --- the sender's offset ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opened_on", "posted_at"),
    [
        ("2026-11-28", "2026-11-28T08:00:00+09:00"),  # in UTC still the 27th
        ("2026-11-28", "2026-11-28T00:00:00+14:00"),
        ("2026-11-28", "2026-11-28T00:00:00Z"),
    ],
)
def test_an_account_may_be_opened_and_used_on_one_day_of_the_sender(
    world: World, opened_on: str, posted_at: str
) -> None:
    assert admitted(world, opened_on=opened_on, posted_at=posted_at)


# Guards: in UTC this payment is on the 28th.
def test_a_payment_on_the_day_before_the_account_was_opened_is_rejected(world: World) -> None:
    assert not admitted(world, opened_on="2026-11-28", posted_at="2026-11-27T18:00:00-08:00")
    assert reason(world) == (
        "TransactionPosted: data: posted_at is on 2026-11-27, before opened_on (2026-11-28); "
        "check the UTC offset of posted_at"
    )


def test_a_transaction_keeps_the_offset_of_its_sender_in_json() -> None:
    at = "2026-11-28T08:00:00.000000+09:00"
    transaction = TransactionPosted.model_validate({**TransactionPosted.example, "posted_at": at})

    assert f'"posted_at":"{at}"' in transaction.to_json()


@pytest.mark.parametrize("posted_at", ["0001-01-01T00:00:00+09:00", "9999-12-31T23:00:00-09:00", "2026-11-28T08:00:00"])
def test_a_time_outside_of_utc_or_without_offset_is_rejected(world: World, posted_at: str) -> None:
    assert not admitted(world, opened_on="0001-01-01", posted_at=posted_at)
    assert "posted_at: " in reason(world)


# --- withdrawn currencies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "posted_at"),
    [
        ("BGN", "2025-12-30T10:00:00Z"),
        ("HRK", "2022-12-31T10:00:00Z"),
        ("LTL", "2014-12-31T23:00:00+02:00"),  # until the end of the month of withdrawal
        ("DEM", "2001-06-01T10:00:00Z"),
    ],
)
def test_a_withdrawn_currency_is_accepted_for_times_before_its_withdrawal(
    world: World, currency: str, posted_at: str
) -> None:
    assert admitted(world, currency=currency, opened_on="2000-01-01", posted_at=posted_at)


@pytest.mark.parametrize(
    ("currency", "problem"),
    [
        ("BGN", "currency: BGN was withdrawn in 2026-01 (ISO 4217, list three); send the currency that replaced it"),
        ("ZWL", "currency: ZWL was withdrawn in 2024-09"),
        ("XYZ", "currency: must be the ISO 4217 code of a currency that has a minor unit, in capital letters: EUR"),
    ],
)
def test_a_withdrawn_or_unknown_currency_is_rejected_with_a_suggestion(
    world: World, currency: str, problem: str
) -> None:
    assert not admitted(world, currency=currency, posted_at="2026-03-01T10:00:00Z")
    assert problem in reason(world)


def test_every_service_handles_a_withdrawn_currency(world: World) -> None:
    account, compliance = Account(world), Compliance(world)
    payments = [a_payment(-86_400 * 80 + each, 900_000, currency="BGN") for each in range(5)]
    account.pays(*payments)  # NOON is in March, 80 days later than in December
    compliance.posts(*payments)

    assert world.dead_letters() == []

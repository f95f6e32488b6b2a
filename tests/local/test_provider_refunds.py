"""Refunds at the stand-in, through Stripe's client."""

import pytest
import stripe

from daybook.local.provider import NothingToSettle, Provider
from tests.local.stripe_client import a_client, an_intent, paid, processing, refund, refused


def test_a_refund_without_an_amount_is_complete(provider: Provider) -> None:
    intent = paid(provider, order="1001")
    given_back = refund(provider, intent.id, metadata={"why": "cancelled"}, reason="requested_by_customer")

    assert given_back.id.startswith("re_")
    assert (given_back.object, given_back.status, given_back.amount) == ("refund", "succeeded", 4200)
    assert (given_back.currency, given_back.reason) == ("eur", "requested_by_customer")
    assert (given_back.payment_intent, given_back.charge) == (intent.id, intent.latest_charge)
    assert given_back.to_dict()["metadata"] == {"why": "cancelled"}
    assert a_client(provider).v1.refunds.retrieve(given_back.id).amount == 4200
    assert provider.book().kept(order="1001") == {"eur": 0}


def test_parts_can_be_refunded_until_nothing_is_left(provider: Provider) -> None:
    intent = paid(provider)
    refund(provider, intent.id, amount=1200)
    refund(provider, intent.id, amount=2000)

    assert refund(provider, intent.id).amount == 1000
    with refused() as refusal:
        refund(provider, intent.id)
    assert (refusal.status, refusal.error["code"]) == (400, "charge_already_refunded")
    assert refusal.error["message"] == f"Charge {intent.latest_charge} has already been refunded."


def test_more_than_is_left_cannot_be_refunded(provider: Provider) -> None:
    intent = paid(provider, currency="usd")
    refund(provider, intent.id, amount=4000)
    with refused() as refusal:
        refund(provider, intent.id, amount=500)

    assert (refusal.status, refusal.error["type"], refusal.error["param"]) == (400, "invalid_request_error", "amount")
    assert refusal.error["message"] == "Refund amount ($5.00) is greater than unrefunded amount on charge ($2.00)"
    assert provider.book().returned() == {"usd": 4000}


def test_an_unpaid_intent_cannot_be_refunded(provider: Provider) -> None:
    with refused(stripe.CardError) as declined:
        paid(provider, payment_method="pm_card_visa_chargeDeclined")
    for identifier in (an_intent(provider).id, processing(provider).id, declined.error["payment_intent"]["id"]):
        with refused() as refusal:
            refund(provider, identifier)

        assert (refusal.status, refusal.error["type"]) == (400, "invalid_request_error")
        message = f"This PaymentIntent ({identifier}) does not have a successful charge to refund."
        assert refusal.error["message"] == message


def test_a_refund_of_an_unknown_payment_is_an_error(provider: Provider) -> None:
    with refused() as unknown:
        refund(provider, "pi_nobody")
    with refused() as missing:
        a_client(provider).v1.refunds.create({"amount": 100})
    with refused() as not_found:
        a_client(provider).v1.refunds.retrieve("re_nobody")

    assert (unknown.status, unknown.error["code"], unknown.error["param"]) == (
        400,
        "resource_missing",
        "payment_intent",
    )
    assert (missing.status, missing.error["code"]) == (400, "parameter_missing")
    assert (not_found.status, not_found.error["code"]) == (404, "resource_missing")


def test_a_charge_can_be_refunded_by_its_own_id(provider: Provider) -> None:
    intent = paid(provider)
    given_back = a_client(provider).v1.refunds.create({"charge": str(intent.latest_charge)})

    assert given_back.payment_intent == intent.id


def test_the_refunds_of_one_payment_are_listed_newest_first(provider: Provider) -> None:
    intent, other = paid(provider), paid(provider)
    ids = [refund(provider, intent.id, amount=100).id for _ in range(3)]
    refund(provider, other.id)
    refunds = a_client(provider).v1.refunds

    assert [each.id for each in refunds.list({"payment_intent": intent.id}).data] == ids[::-1]
    assert len(refunds.list().data) == 4


@pytest.mark.parametrize(("currency", "amount", "part"), [("kwd", 5120, 125), ("isk", 5000, 150)])
def test_fractions_that_cannot_be_charged_cannot_be_refunded(
    provider: Provider, currency: str, amount: int, part: int
) -> None:
    intent = paid(provider, amount=amount, currency=currency)
    with refused() as refusal:
        refund(provider, intent.id, amount=part)

    assert (refusal.status, refusal.error["param"]) == (400, "amount")


def test_a_refund_that_has_succeeded_can_fail_later(provider: Provider) -> None:
    intent = paid(provider, order="1001", payment_method="pm_card_refundFail")
    given_back = refund(provider, intent.id)
    assert given_back.status == "succeeded"

    provider.settle_refund("1001", fails="expired_or_canceled_card")

    failed = a_client(provider).v1.refunds.retrieve(given_back.id)
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert provider.book().kept("1001") == {"eur": 4200}
    assert refund(provider, intent.id).amount == 4200


def test_a_pending_refund_waits_until_it_is_settled(provider: Provider) -> None:
    intent = paid(provider, order="1001", payment_method="pm_card_pendingRefund")
    given_back = refund(provider, intent.id)
    assert (given_back.status, given_back.to_dict()["pending_reason"]) == ("pending", "processing")

    provider.settle_refund("1001", refund=given_back.id)

    assert a_client(provider).v1.refunds.retrieve(given_back.id).status == "succeeded"
    with pytest.raises(NothingToSettle):
        provider.settle_refund("1001")

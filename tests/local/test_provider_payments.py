"""The lifecycle of a payment intent, through Stripe's client, as docs.stripe.com describes it."""

from typing import Any

import pytest
import stripe

from daybook.local.provider import NothingToSettle, Provider
from tests.local.stripe_client import a_client, an_intent, cancel, confirm, paid, processing, refused, retrieve

CODES = {
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": ("card_declined", "stolen_card"),
    "pm_card_chargeDeclinedFraudulent": ("card_declined", "fraudulent"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", None),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", None),
}


def test_a_new_intent_with_a_payment_method_waits_to_be_confirmed(provider: Provider) -> None:
    intent = an_intent(provider, order="1001", amount=4200, description="A mug")

    assert intent.id.startswith("pi_")
    assert (intent.object, intent.status, intent.livemode) == ("payment_intent", "requires_confirmation", False)
    assert (intent.amount, intent.amount_received, intent.currency) == (4200, 0, "eur")
    assert intent.metadata.to_dict() == {"order": "1001"}
    assert intent.description == "A mug"
    assert str(intent.client_secret).startswith(f"{intent.id}_secret_")
    assert (intent.latest_charge, intent.last_payment_error, intent.canceled_at) == (None, None, None)


def test_a_new_intent_without_a_payment_method_requires_one(provider: Provider) -> None:
    intent = an_intent(provider, payment_method=None)

    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_mastercard"])
def test_confirming_charges(provider: Provider, method: str) -> None:
    intent = confirm(provider, an_intent(provider, payment_method=method).id)

    assert (intent.status, intent.amount_received) == ("succeeded", 4200)
    assert str(intent.latest_charge).startswith("ch_")
    assert provider.book().taken() == {"eur": 4200}


def test_an_intent_may_be_created_and_confirmed_in_one_call(provider: Provider) -> None:
    assert paid(provider).status == "succeeded"


def test_the_payment_method_may_come_with_the_confirmation(provider: Provider) -> None:
    intent = an_intent(provider, payment_method=None)

    assert confirm(provider, intent.id, payment_method="pm_card_visa").status == "succeeded"


def test_a_test_payment_method_gets_a_new_id(provider: Provider) -> None:
    intent = an_intent(provider, payment_method="pm_card_visa")

    assert str(intent.payment_method).startswith("pm_")
    assert intent.payment_method != "pm_card_visa"
    assert confirm(provider, intent.id, payment_method=intent.payment_method).status == "succeeded"


def test_an_intent_without_a_payment_method_cannot_be_confirmed(provider: Provider) -> None:
    intent = an_intent(provider, payment_method=None)
    with refused() as refusal:
        confirm(provider, intent.id)

    assert (refusal.status, refusal.error["code"]) == (400, "payment_intent_unexpected_state")
    assert "missing a payment method" in refusal.error["message"]
    assert refusal.error["payment_intent"]["id"] == intent.id


@pytest.mark.parametrize("method", CODES)
def test_a_declined_card_has_a_reason_and_the_intent_requires_another(provider: Provider, method: str) -> None:
    code, decline_code = CODES[method]
    intent = an_intent(provider, payment_method=method)
    with refused(stripe.CardError) as refusal:
        confirm(provider, intent.id)

    assert refusal.status == 402
    assert refusal.error["type"] == "card_error"
    assert (refusal.error["code"], refusal.error.get("decline_code")) == (code, decline_code)
    assert refusal.error["payment_intent"]["status"] == "requires_payment_method"

    now = retrieve(provider, intent.id)
    assert (now.status, now.payment_method, now.amount_received) == ("requires_payment_method", None, 0)
    assert now.last_payment_error
    assert (now.last_payment_error.type, now.last_payment_error.code) == ("card_error", code)
    assert now.last_payment_error.to_dict().get("decline_code") == decline_code
    assert now.last_payment_error.message == refusal.error["message"]
    assert now.latest_charge == now.last_payment_error.charge == refusal.error["charge"]
    assert provider.book().taken() == {}


def test_another_card_may_pay_after_one_was_declined(provider: Provider) -> None:
    intent = an_intent(provider, payment_method="pm_card_visa_chargeDeclined")
    with refused(stripe.CardError):
        confirm(provider, intent.id)
    now = confirm(provider, intent.id, payment_method="pm_card_visa")

    assert (now.status, now.last_payment_error) == ("succeeded", None)
    assert [charge.status for charge in provider.book().charges] == ["failed", "succeeded"]


def test_an_intent_exists_even_if_its_card_is_declined_at_creation(provider: Provider) -> None:
    with refused(stripe.CardError) as refusal:
        paid(provider, payment_method="pm_card_visa_chargeDeclined")

    assert retrieve(provider, refusal.error["payment_intent"]["id"]).status == "requires_payment_method"


def test_an_unknown_payment_method_is_not_found(provider: Provider) -> None:
    with refused() as creating:
        an_intent(provider, payment_method="pm_card_nobody")
    with refused() as confirming:
        confirm(provider, an_intent(provider).id, payment_method="pm_card_nobody")

    for refusal in (creating, confirming):
        assert (refusal.status, refusal.error["code"]) == (400, "resource_missing")
        assert refusal.error["param"] == "payment_method"
        assert refusal.error["message"] == "No such PaymentMethod: 'pm_card_nobody'"


def test_an_unknown_intent_is_not_found(provider: Provider) -> None:
    for act in (retrieve, confirm, cancel):
        with refused() as refusal:
            act(provider, "pi_nobody")

        assert (refusal.status, refusal.error["code"]) == (404, "resource_missing")
        assert refusal.error["message"] == "No such payment_intent: 'pi_nobody'"


@pytest.mark.parametrize("method", ["pm_card_authenticationRequired", "pm_card_threeDSecure2Required"])
def test_a_card_that_needs_authentication_makes_the_intent_require_action(provider: Provider, method: str) -> None:
    intent = paid(provider, payment_method=method, return_url="https://shop.example/back")

    assert intent.status == "requires_action"
    assert intent.next_action
    assert intent.next_action.type == "redirect_to_url"
    assert intent.latest_charge is None


@pytest.mark.parametrize(
    "parameters", [{"off_session": True}, {"off_session": "one_off"}, {"error_on_requires_action": True}]
)
def test_a_card_that_needs_authentication_is_declined_off_session(
    provider: Provider, parameters: dict[str, Any]
) -> None:
    with refused(stripe.CardError) as refusal:
        paid(provider, payment_method="pm_card_authenticationRequired", **parameters)

    assert (refusal.status, refusal.error["code"]) == (402, "authentication_required")
    assert refusal.error["payment_intent"]["status"] == "requires_payment_method"


def test_authentication_may_succeed_or_fail(provider: Provider) -> None:
    one = paid(provider, order="1001", payment_method="pm_card_authenticationRequired")
    other = paid(provider, order="1002", payment_method="pm_card_authenticationRequired")
    provider.settle(order="1001")
    provider.settle(order="1002", fails="payment_intent_authentication_failure")

    assert retrieve(provider, one.id).status == "succeeded"
    failed = retrieve(provider, other.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"


@pytest.mark.parametrize("method", ["pm_usBankAccount_success", "pm_usBankAccount_processing"])
def test_a_bank_debit_succeeds_when_it_is_settled(provider: Provider, method: str) -> None:
    intent = processing(provider, method, order="1001")
    assert (intent.status, intent.amount_received) == ("processing", 0)
    assert provider.book().taken() == {}

    provider.settle(order="1001")

    now = retrieve(provider, intent.id)
    assert (now.status, now.amount_received, now.latest_charge) == ("succeeded", 4200, intent.latest_charge)
    assert provider.book().taken(order="1001") == {"usd": 4200}


def test_a_bank_debit_may_fail_when_it_is_settled(provider: Provider) -> None:
    intent = processing(provider)
    provider.settle(payment=intent.id, fails="insufficient_funds")

    now = retrieve(provider, intent.id)
    assert now.status == "requires_payment_method"
    assert now.last_payment_error
    assert now.last_payment_error.code == "insufficient_funds"
    assert [(charge.status, charge.failure) for charge in provider.book().charges] == [("failed", "insufficient_funds")]


def test_only_a_pending_payment_can_be_settled(provider: Provider) -> None:
    paid(provider, order="1001")

    with pytest.raises(NothingToSettle, match="order 1001"):
        provider.settle(order="1001")


def test_a_bank_account_pays_in_us_dollars_only(provider: Provider) -> None:
    with refused() as refusal:
        an_intent(provider, payment_method="pm_usBankAccount_success", currency="eur")

    assert (refusal.status, refusal.error["code"]) == (400, "payment_intent_incompatible_payment_method")


def test_a_payment_method_must_be_of_an_allowed_type(provider: Provider) -> None:
    intent = an_intent(provider, currency="usd", allowed_payment_method_types=["card", "sepa_debit"])
    with refused() as refusal:
        confirm(provider, intent.id, payment_method="pm_usBankAccount_success")

    assert intent.payment_method_types == ["card"]
    assert "(us_bank_account) is not allowed for this PaymentIntent" in refusal.error["message"]


def test_an_intent_that_may_redirect_needs_a_return_url(provider: Provider) -> None:
    intent = an_intent(provider, automatic_payment_methods={"enabled": True})
    with refused() as refusal:
        confirm(provider, intent.id)

    assert "you must provide a `return_url`" in refusal.error["message"]
    assert confirm(provider, intent.id, return_url="https://shop.example/back").status == "succeeded"
    assert paid(provider, automatic_payment_methods={"enabled": True}, off_session=True).status == "succeeded"


@pytest.mark.parametrize("reason", [None, "abandoned"])
def test_an_intent_that_is_not_paid_can_be_cancelled(provider: Provider, reason: str | None) -> None:
    for intent in (
        an_intent(provider),
        an_intent(provider, payment_method=None),
        paid(provider, payment_method="pm_card_authenticationRequired"),
        processing(provider, "pm_usBankAccount_processing"),
    ):
        now = cancel(provider, intent.id, **({"cancellation_reason": reason} if reason else {}))

        assert (now.status, now.cancellation_reason) == ("canceled", reason)
        assert now.canceled_at
        assert now.canceled_at >= now.created
    assert provider.book().taken() == {}


def test_a_pending_bank_debit_cannot_be_cancelled(provider: Provider) -> None:
    intent = processing(provider, "pm_usBankAccount_success")
    with refused() as refusal:
        cancel(provider, intent.id)

    assert (refusal.status, refusal.error["code"]) == (400, "payment_intent_unexpected_state")
    assert refusal.error["payment_intent"]["status"] == "processing"


def test_a_paid_intent_can_neither_be_cancelled_nor_confirmed_again(provider: Provider) -> None:
    intent = paid(provider)
    for act in (cancel, confirm):
        with refused() as refusal:
            act(provider, intent.id)

        assert (refusal.status, refusal.error["type"]) == (400, "invalid_request_error")
        assert refusal.error["code"] == "payment_intent_unexpected_state"
        assert refusal.error["payment_intent"]["status"] == "succeeded"
    assert provider.book().taken() == {"eur": 4200}


def test_a_cancelled_intent_can_neither_be_cancelled_nor_confirmed_again(provider: Provider) -> None:
    intent = cancel(provider, an_intent(provider).id)
    for act in (cancel, confirm):
        with refused() as refusal:
            act(provider, intent.id)

        assert refusal.error["code"] == "payment_intent_unexpected_state"
        assert "has a status of canceled" in refusal.error["message"]


def test_an_intent_in_processing_cannot_be_confirmed_again(provider: Provider) -> None:
    with refused() as refusal:
        confirm(provider, processing(provider).id)

    assert refusal.error["code"] == "payment_intent_unexpected_state"
    assert "has a status of processing" in refusal.error["message"]


def test_intents_are_listed_newest_first_a_page_at_a_time(provider: Provider) -> None:
    ids = [an_intent(provider, order=str(number)).id for number in range(12)]
    list_them = a_client(provider).v1.payment_intents.list

    assert [each.id for each in list_them().data] == ids[:1:-1]
    page = list_them({"limit": 5})
    assert [each.id for each in page.data] == ids[:6:-1]
    assert page.has_more
    assert [each.id for each in list_them({"limit": 5}).auto_paging_iter()] == ids[::-1]
    assert not list_them({"limit": 12}).has_more


def test_a_page_holds_at_most_a_hundred(provider: Provider) -> None:
    with refused() as refusal:
        a_client(provider).v1.payment_intents.list({"limit": 101})

    assert (refusal.status, refusal.error["param"]) == (400, "limit")


def test_the_balance_is_charges_minus_refunds(provider: Provider) -> None:
    paid(provider, amount=4200, currency="eur")
    paid(provider, amount=1000, currency="usd")

    pending = a_client(provider).v1.balance.retrieve().pending

    assert {each.currency: each.amount for each in pending} == {"eur": 4200, "usd": 1000}

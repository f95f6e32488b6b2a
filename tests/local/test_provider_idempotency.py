"""Idempotency keys at the stand-in: docs.stripe.com/api/idempotent_requests."""

from concurrent.futures import ThreadPoolExecutor

import stripe

from daybook.local.provider import Fault, Provider
from tests.local.processes import until
from tests.local.stripe_client import a_client, an_intent, confirm, paid, refund, refused, retrieve


def test_the_same_request_with_the_same_key_is_executed_once(provider: Provider) -> None:
    first = an_intent(provider, key="charge/1001")
    again = an_intent(provider, key="charge/1001")

    assert again.to_dict() == first.to_dict()
    assert headers(first) == {"Idempotency-Key": "charge/1001"}
    assert headers(again) == {"Idempotency-Key": "charge/1001", "Idempotent-Replayed": "true"}
    assert len(provider.book().payments) == 1


def test_a_key_returns_its_first_answer_even_if_the_state_has_changed(provider: Provider) -> None:
    intent = an_intent(provider, key="open/1001")
    confirm(provider, intent.id, key="charge/1001")

    assert an_intent(provider, key="open/1001").status == "requires_confirmation"
    assert retrieve(provider, intent.id).status == "succeeded"


def test_a_key_charges_and_refunds_once(provider: Provider) -> None:
    intent = an_intent(provider)
    for _ in range(3):
        confirm(provider, intent.id, key="charge/1001")
        refund(provider, intent.id, amount=100, key="refund/1001")

    assert provider.book().taken() == {"eur": 4200}
    assert provider.book().returned() == {"eur": 100}


def test_an_error_of_the_execution_is_repeated_for_the_key(provider: Provider) -> None:
    intent = an_intent(provider, payment_method="pm_card_visa_chargeDeclined")
    messages = set()
    for _ in range(2):
        with refused(stripe.CardError) as declined:
            confirm(provider, intent.id, key="charge/1001")
        messages.add((declined.status, declined.error["charge"]))

    assert declined.headers["Idempotent-Replayed"] == "true"
    assert len(messages) == 1
    assert len(provider.book().charges) == 1


def test_an_invalid_request_does_not_use_its_key(provider: Provider) -> None:
    with refused():
        an_intent(provider, amount=1, key="charge/1001")

    assert an_intent(provider, amount=4200, key="charge/1001").amount == 4200


def test_a_key_cannot_be_used_with_other_parameters(provider: Provider) -> None:
    an_intent(provider, amount=4200, key="charge/1001")
    with refused(stripe.IdempotencyError) as refusal:
        an_intent(provider, amount=4300, key="charge/1001")

    assert (refusal.status, refusal.error["type"]) == (400, "idempotency_error")
    assert refusal.error["message"] == (
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        "Try using a key other than 'charge/1001' if you meant to execute a different request."
    )


def test_a_key_cannot_be_used_for_another_endpoint(provider: Provider) -> None:
    intent = an_intent(provider, key="charge/1001")
    with refused(stripe.IdempotencyError) as refusal:
        confirm(provider, intent.id, key="charge/1001")

    assert refusal.error["message"].startswith(
        "Keys for idempotent requests can only be used for the same endpoint they were first used for "
        f"('/v1/payment_intents/{intent.id}/confirm' vs '/v1/payment_intents')."
    )
    assert provider.book().taken() == {}


def test_a_key_is_in_use_while_its_request_runs(provider: Provider) -> None:
    slow = Fault.delayed(60, operation="payment_intents.create")
    with ThreadPoolExecutor() as elsewhere:
        with provider.inject(slow):
            first = elsewhere.submit(an_intent, provider, key="charge/1001")
            until(lambda: provider.injected_count(slow), what="the first request runs")
            with refused(stripe.APIError) as refusal:
                an_intent(provider, key="charge/1001")
        answered = first.result()

    assert (refusal.status, refusal.error["code"]) == (409, "idempotency_key_in_use")
    assert an_intent(provider, key="charge/1001").id == answered.id
    assert len(provider.book().payments) == 1


def test_a_forgotten_key_charges_again(provider: Provider) -> None:
    paid(provider, key="charge/1001")
    provider.forget_keys()
    paid(provider, key="charge/1001")

    assert provider.book().taken() == {"eur": 8400}


def test_a_key_cannot_be_forgotten_while_its_request_runs(provider: Provider) -> None:
    slow = Fault.delayed(60, operation="payment_intents.create")
    with ThreadPoolExecutor() as elsewhere:
        with provider.inject(slow):
            first = elsewhere.submit(an_intent, provider, key="charge/1001")
            until(lambda: provider.injected_count(slow), what="the first request runs")
            provider.forget_keys()
        answered = first.result()

    assert an_intent(provider, key="charge/1001").id == answered.id


def test_a_key_is_at_most_255_characters_long(provider: Provider) -> None:
    assert an_intent(provider, key="k" * 255).id
    with refused() as refusal:
        an_intent(provider, key="k" * 256)

    assert refusal.status == 400


def test_requests_without_a_key_are_all_executed(provider: Provider) -> None:
    assert paid(provider).id != paid(provider).id


def test_reading_ignores_keys(provider: Provider) -> None:
    intent = an_intent(provider)
    intents = a_client(provider).v1.payment_intents
    before = intents.retrieve(intent.id, options={"idempotency_key": "look"})
    confirm(provider, intent.id)

    assert before.status == "requires_confirmation"
    assert intents.retrieve(intent.id, options={"idempotency_key": "look"}).status == "succeeded"


def headers(answered: stripe.PaymentIntent) -> dict[str, str]:
    """The answer's headers that are about idempotency."""
    assert answered.last_response
    every = dict(answered.last_response.headers)
    return {name: value for name, value in every.items() if name.startswith("Idempoten")}

"""Faults of the provider, seen through Stripe's client."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from daybook.local.provider import ALWAYS, Fault, Provider
from tests.local.processes import until
from tests.local.stripe_client import a_client, an_intent, cancel, confirm, paid, refund, refused, retrieve

CONFIRM = "payment_intents.confirm"


def test_a_call_that_is_dropped_before_has_no_effect(provider: Provider) -> None:
    intent = an_intent(provider)
    lost = Fault.dropped("before", operation=CONFIRM)
    with provider.inject(lost), pytest.raises(stripe.APIConnectionError):
        confirm(provider, intent.id)

    assert provider.injected_count(lost) == 1
    assert retrieve(provider, intent.id).status == "requires_confirmation"
    assert provider.book().taken() == {}


def test_a_call_that_is_dropped_after_took_effect_and_its_key_returns_the_answer(provider: Provider) -> None:
    intent = an_intent(provider)
    with provider.inject(Fault.dropped("after", operation=CONFIRM)):
        with pytest.raises(stripe.APIConnectionError):
            confirm(provider, intent.id, key="charge/1001")
        assert provider.book().taken() == {"eur": 4200}
        assert confirm(provider, intent.id, key="charge/1001").status == "succeeded"

    assert provider.book().taken() == {"eur": 4200}


def test_stripes_client_retries_with_its_own_key(provider: Provider) -> None:
    intent = an_intent(provider)
    with provider.inject(Fault.dropped("after", operation=CONFIRM)):
        assert a_client(provider, retries=1).v1.payment_intents.confirm(intent.id).status == "succeeded"

    assert provider.book().calls[CONFIRM] == 2
    assert provider.book().taken() == {"eur": 4200}


@pytest.mark.parametrize(("when", "taken"), [("before", {}), ("after", {"eur": 4200})])
def test_a_500_may_have_had_no_effect_or_all_and_is_repeated_for_the_key(
    provider: Provider, when: Any, taken: Any
) -> None:
    intent = an_intent(provider)
    with provider.inject(Fault.server_error(when, operation=CONFIRM)), refused(stripe.APIError) as first:
        confirm(provider, intent.id, key="charge/1001")
    with refused(stripe.APIError) as again:
        confirm(provider, intent.id, key="charge/1001")

    assert (first.status, first.error["type"]) == (500, "api_error")
    assert (again.status, again.headers["Idempotent-Replayed"]) == (500, "true")
    assert first.headers["Stripe-Should-Retry"] == "false"
    assert provider.book().taken() == taken


@pytest.mark.parametrize(("when", "taken"), [("before", {}), ("after", {"eur": 4200})])
def test_after_a_503_the_key_returns_the_real_answer(provider: Provider, when: Any, taken: Any) -> None:
    intent = an_intent(provider)
    with provider.inject(Fault.unavailable(when, operation=CONFIRM)), refused(stripe.APIError) as refusal:
        confirm(provider, intent.id, key="charge/1001")

    assert refusal.status == 503
    assert provider.book().taken() == taken
    assert confirm(provider, intent.id, key="charge/1001").status == "succeeded"
    assert provider.book().taken() == {"eur": 4200}


@pytest.mark.parametrize(
    ("fault", "code"), [(Fault.rate_limited(), "rate_limit"), (Fault.lock_timeout(), "lock_timeout")]
)
def test_a_429_has_no_effect_and_does_not_use_the_key(provider: Provider, fault: Fault, code: str) -> None:
    with provider.inject(fault), refused(stripe.RateLimitError) as refusal:
        paid(provider, key="charge/1001")

    assert (refusal.status, refusal.error["code"]) == (429, code)
    assert provider.book().payments == ()
    assert headers(paid(provider, key="charge/1001")).get("Idempotent-Replayed") is None


def test_stripes_client_retries_after_a_lock_timeout(provider: Provider) -> None:
    intent = an_intent(provider)
    with provider.inject(Fault.lock_timeout(operation=CONFIRM)):
        assert a_client(provider, retries=1).v1.payment_intents.confirm(intent.id).status == "succeeded"


def test_any_error_can_be_injected(provider: Provider) -> None:
    conflict = Fault.error(409, "invalid_request_error", "The object is locked.", code="lock_timeout")
    with provider.inject(conflict), refused(stripe.APIError) as refusal:
        a_client(provider).v1.balance.retrieve()

    assert (refusal.status, refusal.error["message"]) == (409, "The object is locked.")


def test_a_client_that_timed_out_gets_the_answer_by_the_key(provider: Provider) -> None:
    intent = an_intent(provider)
    late = Fault.delayed(60, "after", operation=CONFIRM)
    impatient = a_client(provider, timeout=0.2)
    with provider.inject(late):
        with pytest.raises(stripe.APIConnectionError):
            impatient.v1.payment_intents.confirm(intent.id, options={"idempotency_key": "charge/1001"})
        assert provider.book().taken() == {"eur": 4200}
        assert confirm(provider, intent.id, key="charge/1001").status == "succeeded"


def test_a_client_that_timed_out_before_the_execution_is_charged_later(provider: Provider) -> None:
    intent = an_intent(provider)
    slow = Fault.delayed(60, "before", operation=CONFIRM)
    with provider.inject(slow):
        with pytest.raises(stripe.APIConnectionError):
            a_client(provider, timeout=0.2).v1.payment_intents.confirm(intent.id)
        assert provider.book().taken() == {}

    until(lambda: provider.book().taken() == {"eur": 4200}, what="the payment is made")


def test_a_delay_ends_by_itself(provider: Provider) -> None:
    with provider.inject(Fault.delayed(0.01)):
        assert paid(provider).status == "succeeded"


def test_a_fault_affects_the_first_calls_or_all(provider: Provider) -> None:
    twice, always = Fault.rate_limited(times=2), Fault.rate_limited(times=ALWAYS)
    with provider.inject(twice):
        outcomes = [is_refused(provider) for _ in range(3)]
    with provider.inject(always):
        outcomes += [is_refused(provider) for _ in range(3)]

    assert outcomes == [True, True, False, True, True, True]
    assert (provider.injected_count(twice), provider.injected_count(always)) == (2, 3)
    assert not is_refused(provider)


def test_the_count_of_a_fault_continues_when_it_is_injected_again(provider: Provider) -> None:
    once = Fault.rate_limited(times=1)
    with provider.inject(once):
        assert is_refused(provider)
    with provider.inject(once):
        assert not is_refused(provider)


def test_faults_of_nested_blocks_are_independent(provider: Provider) -> None:
    with provider.inject(Fault.rate_limited(operation="refunds.create")):
        with provider.inject(Fault.rate_limited(operation=CONFIRM)), refused(stripe.RateLimitError):
            confirm(provider, an_intent(provider).id)
        with refused(stripe.RateLimitError):
            refund(provider, paid(provider).id)


def test_a_fault_can_select_one_order_in_every_operation(provider: Provider) -> None:
    with provider.inject(Fault.rate_limited(order="1001", times=ALWAYS)):
        assert an_intent(provider, order="1002").id
        with refused(stripe.RateLimitError):
            an_intent(provider, order="1001")
    intent = paid(provider, order="1001")
    given_back = refund(provider, intent.id, amount=100)
    with provider.inject(Fault.rate_limited(order="1001", times=ALWAYS)):
        for act in (retrieve, confirm, cancel, refund):
            with refused(stripe.RateLimitError):
                act(provider, intent.id)
        with refused(stripe.RateLimitError):
            a_client(provider).v1.refunds.retrieve(given_back.id)
        with refused(stripe.RateLimitError):
            a_client(provider).v1.refunds.list({"payment_intent": intent.id})


def test_a_fault_can_select_one_intent_or_one_payment_method(provider: Provider) -> None:
    one, other = an_intent(provider), an_intent(provider, payment_method="pm_card_mastercard")
    with provider.inject(Fault.rate_limited(intent=one.id)):
        assert confirm(provider, other.id).status == "succeeded"
        with refused(stripe.RateLimitError):
            confirm(provider, one.id)
    with provider.inject(Fault.rate_limited(payment_method="pm_card_mastercard")):
        assert confirm(provider, one.id).status == "succeeded"
        with refused(stripe.RateLimitError):
            an_intent(provider, payment_method="pm_card_mastercard")


def test_a_reset_removes_faults_and_ends_their_delays(provider: Provider) -> None:
    slow = Fault.delayed(60, operation="balance.retrieve")
    with ThreadPoolExecutor() as elsewhere, provider.inject(slow):
        held_up = elsewhere.submit(a_client(provider).v1.balance.retrieve)
        until(lambda: provider.injected_count(slow), what="the call is held up")
        provider.reset()
        assert held_up.result().object == "balance"
        assert a_client(provider).v1.balance.retrieve().object == "balance"


def is_refused(provider: Provider) -> bool:
    """Whether a call is rejected by the rate limit."""
    try:
        a_client(provider).v1.balance.retrieve()
    except stripe.RateLimitError:
        return True
    return False


def headers(answered: stripe.PaymentIntent) -> dict[str, str]:
    """The answer's headers."""
    assert answered.last_response
    return dict(answered.last_response.headers)

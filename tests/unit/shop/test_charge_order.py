"""Charging: under every fault a customer pays for an order at most once, and the event agrees with the provider."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daybook.consumers.effect_records import OPEN, WITHDRAWN
from daybook.contracts.envelope import Envelope
from daybook.local.provider import ALWAYS, Fault
from daybook.runtime import settings as here
from events.inventory import StockReserved
from events.payments import PaymentFailed, PaymentSucceeded
from functions.payments import charge_order
from tests.unit import faults
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.shop.builders import money
from tests.unit.shop.payments import OWNER, Payments, assert_consistent, charge, deliver, message_of, retry_until_done
from tests.unit.test_effects import time_passes
from tests.unit.world import errors

CREATE, CONFIRM, RETRIEVE, CANCEL = (f"payment_intents.{name}" for name in ("create", "confirm", "retrieve", "cancel"))


def failed(payments: Payments, reason: str) -> list[PaymentFailed]:
    return [PaymentFailed(order_id=payments.order, reason=reason)]


def late(stock: StockReserved) -> StockReserved:
    """The same event, after the time to pay is over."""
    return stock.model_copy(update={"pay_by": datetime.now(UTC) - timedelta(seconds=1)})


def late_retry(payments: Payments, envelope: Envelope, stock: StockReserved) -> Message:
    """The second delivery of the same event, after the time to pay is over."""
    later = recorded(late(stock), id=envelope.metadata.id)
    payments.world.append(later)
    return Message(from_the_bus(later), tries=2)


# --- outcomes ---------------------------------------------------------------------------------------------------------


def test_a_valid_card_is_charged_once(payments: Payments) -> None:
    stock = payments.reserved()

    assert charge(payments, stock) == 1

    (made,) = payments.charges()
    assert (made.status, made.amount, made.currency) == ("succeeded", 4200, "eur")
    assert made.metadata == {"order": payments.order, **OWNER}
    assert payments.events() == [PaymentSucceeded(order_id=payments.order, payment_id=made.payment, amount=stock.total)]
    assert payments.effect_record(f"charge/{payments.order}")["state"] == OPEN


@pytest.mark.parametrize(
    ("currency", "amount", "taken"), [("JPY", 500, 500), ("KWD", 12340, 12340), ("ISK", 500, 50000), ("EUR", 50, 50)]
)
def test_an_amount_is_charged_in_the_units_of_the_provider(
    payments: Payments, currency: str, amount: int, taken: int
) -> None:
    charge(payments, payments.reserved(amount=amount, currency=currency))

    assert payments.taken() == {currency.lower(): taken}
    assert_consistent(payments)


@pytest.mark.parametrize(
    ("method", "amount", "currency", "reason"),
    [
        ("", 4200, "EUR", "no_payment_method"),
        ("pm_card_unheard_of", 4200, "EUR", "resource_missing"),
        ("pm_card_visa", 1, "EUR", "amount_too_small"),
        ("pm_card_visa", 100_000_000, "EUR", "amount_too_large"),
        ("pm_card_visa", 12345, "KWD", "amount_not_chargeable"),
        ("pm_card_visa", 10_000, "CLF", "currency_not_supported"),
        ("pm_card_visa", 10_001, "CLF", "amount_not_chargeable"),
        ("pm_usBankAccount_success", 4200, "EUR", "payment_intent_incompatible_payment_method"),
        ("pm_card_visa_chargeDeclined", 4200, "EUR", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", 4200, "EUR", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", 4200, "EUR", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", 4200, "EUR", "stolen_card"),
        ("pm_card_chargeDeclinedFraudulent", 4200, "EUR", "fraudulent"),
        ("pm_card_chargeDeclinedExpiredCard", 4200, "EUR", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", 4200, "EUR", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", 4200, "EUR", "processing_error"),
    ],
)
def test_a_payment_that_fails_is_an_event_with_the_reason(
    payments: Payments, method: str, amount: int, currency: str, reason: str
) -> None:
    assert charge(payments, payments.reserved(method, amount, currency)) == 1

    assert payments.events() == failed(payments, reason)
    assert payments.taken() == {}
    assert payments.dead() == []


def test_a_free_order_is_paid_without_a_call(payments: Payments) -> None:
    stock = payments.reserved(method="", amount=0)

    charge(payments, stock)

    assert payments.events() == [PaymentSucceeded(order_id=payments.order, payment_id="", amount=stock.total)]
    assert payments.statuses() == []


def test_a_payment_that_needs_authentication_is_cancelled(payments: Payments) -> None:
    charge(payments, payments.reserved("pm_card_authenticationRequired"))

    assert payments.events() == failed(payments, "authentication_required")
    assert payments.statuses() == ["canceled"]


def test_a_payment_in_processing_is_retried_and_no_attempt_counts(payments: Payments) -> None:
    stock = payments.reserved("pm_usBankAccount_success", currency="USD")
    envelope, message = message_of(stock)
    assert payments.world.deliver(charge_order.handler, message) == [message]
    assert [list(entry.failed_attempts) for entry in payments.world.entries(envelope)] == [[]]

    payments.provider.settle(payments.order)
    retry_until_done(payments, Message(message.body, tries=2))

    assert payments.taken() == {"usd": 4200}
    assert_consistent(payments)
    assert payments.dead() == []


def test_a_bank_debit_that_fails_is_an_event_with_the_reason(payments: Payments) -> None:
    _, message = message_of(payments.reserved("pm_usBankAccount_success", currency="USD"))
    payments.world.deliver(charge_order.handler, message)

    payments.provider.settle(payments.order, fails="insufficient_funds")
    retry_until_done(payments, Message(message.body, tries=2))

    assert payments.events() == failed(payments, "insufficient_funds")


def test_a_payment_in_processing_is_cancelled_when_the_time_to_pay_is_over(payments: Payments) -> None:
    stock = payments.reserved("pm_usBankAccount_processing", currency="USD")
    envelope, message = message_of(stock)
    assert payments.world.deliver(charge_order.handler, message) == [message]

    retry_until_done(payments, late_retry(payments, envelope, stock))

    assert payments.events() == failed(payments, "not_paid_in_time")
    assert payments.statuses() == ["canceled"]


def test_a_late_payment_that_cannot_be_cancelled_is_retried(payments: Payments) -> None:
    stock = payments.reserved("pm_usBankAccount_success", currency="USD")
    envelope, message = message_of(stock)
    assert payments.world.deliver(charge_order.handler, message) == [message]
    too_late = late_retry(payments, envelope, stock)
    assert payments.world.deliver(charge_order.handler, too_late) == [too_late]

    payments.provider.settle(payments.order)
    retry_until_done(payments, Message(too_late.body, tries=3))

    assert payments.taken() == {"usd": 4200}
    assert_consistent(payments)
    assert payments.dead() == []


def test_a_payment_that_was_not_confirmed_in_time_is_cancelled(payments: Payments) -> None:
    stock = payments.reserved()
    envelope, message = message_of(stock)
    with payments.provider.inject(Fault.dropped("before", operation=CONFIRM, order=payments.order)):
        payments.world.deliver(charge_order.handler, message)

    retry_until_done(payments, late_retry(payments, envelope, stock))

    assert payments.events() == failed(payments, "not_paid_in_time")
    assert payments.statuses() == ["canceled"]


def test_a_late_first_delivery_creates_no_payment(payments: Payments) -> None:
    charge(payments, late(payments.reserved()))

    assert payments.events() == failed(payments, "not_paid_in_time")
    assert payments.statuses() == []


# --- faults -----------------------------------------------------------------------------------------------------------

FAULTS: dict[str, Callable[..., Fault]] = {
    "dropped before": lambda **where: Fault.dropped("before", **where),
    "dropped after": lambda **where: Fault.dropped("after", **where),
    "503 before": lambda **where: Fault.unavailable("before", **where),
    "503 after": lambda **where: Fault.unavailable("after", **where),
    "500 before": lambda **where: Fault.server_error("before", **where),
    "500 after": lambda **where: Fault.server_error("after", **where),
    "429": Fault.rate_limited,
    "lock timeout": Fault.lock_timeout,
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("operation", [CREATE, CONFIRM])
@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_visa_chargeDeclined"])
def test_one_failed_call_changes_nothing_for_the_customer(
    payments: Payments, kind: str, operation: str, method: str
) -> None:
    fault = FAULTS[kind](operation=operation, order=payments.order)
    with payments.provider.inject(fault):
        charge(payments, payments.reserved(method))

    assert payments.provider.injected_count(fault) == 1
    assert_consistent(payments)
    assert payments.dead() == []


@pytest.mark.parametrize("kind", FAULTS)
def test_a_failed_retrieval_of_the_payment_is_retried(payments: Payments, kind: str) -> None:
    lost = Fault.dropped("after", operation=CONFIRM, order=payments.order)
    failed_retrieval = FAULTS[kind](operation=RETRIEVE, order=payments.order)
    with payments.provider.inject(lost, failed_retrieval):
        charge(payments, payments.reserved())

    assert payments.provider.injected_count(failed_retrieval) == 1
    assert payments.taken() == {"eur": 4200}
    assert len(payments.events()) == 1
    assert_consistent(payments)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_payment_whose_cancellation_fails_once_is_not_charged(payments: Payments, kind: str) -> None:
    with payments.provider.inject(FAULTS[kind](operation=CANCEL, order=payments.order)):
        charge(payments, payments.reserved("pm_card_authenticationRequired"))

    assert payments.events() == failed(payments, "authentication_required")
    assert_consistent(payments)


@pytest.mark.parametrize("operation", [CREATE, CONFIRM])
def test_a_provider_that_never_answers_leaves_a_dead_letter(payments: Payments, operation: str) -> None:
    with payments.provider.inject(Fault.dropped("after", operation=operation, order=payments.order, times=ALWAYS)):
        charge(payments, payments.reserved())

    assert_consistent(payments)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", [CREATE, CONFIRM])
def test_a_call_that_times_out_is_retried(
    payments: Payments, monkeypatch: pytest.MonkeyPatch, operation: str, when: Literal["before", "after"]
) -> None:
    monkeypatch.setenv(here.CALL_TIMEOUT, "0.3")
    slow = Fault.delayed(1.0, when, operation=operation, order=payments.order)
    with payments.provider.inject(slow):
        charge(payments, payments.reserved())

    assert payments.taken() in ({"eur": 4200}, {})
    assert_consistent(payments)


# Guards: after a confirmation in an unexpected state the payment is retrieved, and not taken as failed.
def test_a_confirmation_after_a_slower_one_is_no_failure(payments: Payments) -> None:
    already_confirmed = Fault.error(
        400,
        "invalid_request_error",
        "You cannot confirm this PaymentIntent because it has already succeeded.",
        code="payment_intent_unexpected_state",
        when="after",
        operation=CONFIRM,
        order=payments.order,
    )
    with payments.provider.inject(already_confirmed):
        charge(payments, payments.reserved())

    assert payments.taken() == {"eur": 4200}
    assert payments.dead() == []
    assert_consistent(payments)


def test_a_call_whose_idempotency_key_is_in_use_is_retried(payments: Payments) -> None:
    in_use = Fault.error(
        409, "invalid_request_error", "in use", code="idempotency_key_in_use", operation=CREATE, order=payments.order
    )
    with payments.provider.inject(in_use):
        charge(payments, payments.reserved())

    assert payments.taken() == {"eur": 4200}
    assert_consistent(payments)


@pytest.mark.parametrize("key", ["sk_live_refused", "a generated text", "sk_test_\u2013dash", None])
def test_with_an_invalid_api_key_orders_wait_and_the_log_names_the_command_that_helps(
    payments: Payments, capsys: pytest.CaptureFixture[str], key: str | None
) -> None:
    payments.use_key(key)
    envelope, message = message_of(payments.reserved())

    assert payments.world.deliver(charge_order.handler, message) == [message]

    assert payments.effect_record(f"charge/{payments.order}")["state"] == WITHDRAWN
    assert [list(entry.failed_attempts) for entry in payments.world.entries(envelope)] == [[]]
    assert "daybook doctor" in capsys.readouterr().out


def test_after_the_api_key_is_corrected_the_order_is_charged(payments: Payments) -> None:
    payments.use_key("sk_live_refused")
    _, message = message_of(payments.reserved())
    payments.world.deliver(charge_order.handler, message)

    payments.use_key(payments.provider.key)
    retry_until_done(payments, Message(message.body, tries=2))

    assert payments.taken() == {"eur": 4200}
    assert_consistent(payments)


# Guards: the note of the payment id.
def test_idempotency_keys_that_expire_between_attempts_cause_no_second_charge(payments: Payments) -> None:
    with payments.provider.inject(
        Fault.dropped("after", operation=CREATE, order=payments.order),
        Fault.dropped("after", operation=CONFIRM, order=payments.order),
    ):
        charge(payments, payments.reserved(), between=payments.provider.forget_keys)

    assert payments.taken() == {"eur": 4200}
    assert_consistent(payments)


# Guards: the idempotency key.
def test_a_payment_whose_creation_had_no_answer_is_not_created_again(payments: Payments) -> None:
    with payments.provider.inject(Fault.dropped("after", operation=CREATE, order=payments.order)):
        charge(payments, payments.reserved())

    assert payments.statuses() == ["succeeded"]


def test_a_confirmed_payment_that_the_provider_does_not_find_is_not_reported_as_failed(payments: Payments) -> None:
    unknown = Fault.error(
        404, "invalid_request_error", "none", code="resource_missing", operation=RETRIEVE, order=payments.order
    )
    with payments.provider.inject(Fault.dropped("after", operation=CONFIRM, order=payments.order), unknown):
        charge(payments, payments.reserved())

    assert payments.taken() == {"eur": 4200}
    assert payments.events() == []
    assert payments.dead() == ["NonRetryable"]


# --- killed processes, duplicates -----------------------------------------------------------------------------------


# Guards: the effect record before the call, the note of the payment id.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
@pytest.mark.parametrize("lost", [None, CREATE, CONFIRM])
def test_a_killed_process_charges_the_customer_once(
    payments: Payments, call: int | str, after: bool, lost: str | None
) -> None:
    faults.die_at_call(call, after=after)
    dropped = [Fault.dropped("after", operation=lost, order=payments.order)] if lost else []
    with payments.provider.inject(*dropped):
        charge(payments, payments.reserved(), between=payments.provider.forget_keys)

    assert payments.taken() == {"eur": 4200}
    assert len(payments.events()) == 1
    assert_consistent(payments)


@pytest.mark.parametrize("operation", ["UpdateItem", "TransactWriteItems"])
def test_a_concurrent_duplicate_charges_nothing(payments: Payments, operation: str) -> None:
    _, message = message_of(payments.reserved())
    duplicate = Message(message.body)
    faults.meanwhile(operation, lambda: None, lambda: payments.world.deliver(charge_order.handler, duplicate))
    retry_until_done(payments, message)
    retry_until_done(payments, Message(message.body, tries=2))

    assert len(payments.charges()) == 1
    assert_consistent(payments)


# Guards: the effect record before the call.
def test_a_slow_process_whose_record_was_taken_over_charges_nothing(payments: Payments) -> None:
    _, message = message_of(payments.reserved())

    def take_over() -> None:
        time_passes(payments.world)
        payments.world.deliver(charge_order.handler, Message(message.body, tries=2))

    faults.meanwhile("UpdateItem", lambda: None, take_over)
    retry_until_done(payments, message)

    assert payments.taken() == {"eur": 4200}
    assert len(payments.charges()) == 1
    assert_consistent(payments)


def test_two_events_with_the_same_idempotency_key_charge_the_customer_once(payments: Payments) -> None:
    stock = payments.reserved()
    charge(payments, stock)
    payments.provider.forget_keys()
    charge(payments, stock)

    assert len(payments.charges()) == 1
    assert_consistent(payments)


def test_two_concurrent_events_with_the_same_idempotency_key_charge_the_customer_once(payments: Payments) -> None:
    stock = payments.reserved()
    retried: list[list[Message]] = []
    faults.meanwhile("TransactWriteItems", lambda: retried.append(deliver(payments, stock)))
    charge(payments, stock)

    assert [len(messages) for messages in retried] == [1]
    assert len(payments.charges()) == 1
    assert_consistent(payments)


# --- any faults ------------------------------------------------------------------------------------------------------

CALLS = st.sampled_from([CREATE, CONFIRM, RETRIEVE, CANCEL])
FAULTS_OF_CALLS = st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), CALLS), max_size=6)
METHODS = st.sampled_from(["pm_card_visa", "pm_card_visa_chargeDeclined", "pm_card_authenticationRequired"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(faulty_calls=FAULTS_OF_CALLS, method=METHODS, forgets=st.booleans(), is_late=st.booleans())
def test_under_any_faults_the_customer_is_charged_at_most_once_and_the_event_agrees_with_the_provider(
    payments: Payments, faulty_calls: list[tuple[str, str]], method: str, forgets: bool, is_late: bool
) -> None:
    this = Payments(payments.world, payments.provider)
    this.world.clear("ledger")
    before = len(this.world.dead_letters())
    stock = this.reserved(method)
    with this.provider.inject(*(FAULTS[kind](operation=call, order=this.order) for kind, call in faulty_calls)):
        charge(
            this,
            late(stock) if is_late else stock,
            between=this.provider.forget_keys if forgets else lambda: None,
        )

    new = this.world.dead_letters()[before:]
    assert len(this.events()) + len(new) == 1
    assert {dead_letter.error for dead_letter in new} <= {"OutcomeUnknown"}
    succeeded = [each for each in this.charges() if each.status == "succeeded"]
    assert len(succeeded) <= 1
    if this.events():
        assert [isinstance(event, PaymentSucceeded) for event in this.events()] == [bool(succeeded)]


# --- forged messages --------------------------------------------------------------------------------------------------


def forged_over_one_euro(true: Envelope, stock: StockReserved) -> Message:
    """A message with the true event's id that asks for 1.00."""
    forged = recorded(stock.model_copy(update={"total": money(100)}), id=true.metadata.id)
    return Message(json.dumps({"detail": json.loads(forged.shared_detail)}))


# Guards: a consumer acts on the stored event only.
def test_a_forged_message_with_the_id_of_a_recorded_event_charges_the_true_amount(payments: Payments) -> None:
    stock = payments.reserved(amount=400_000)
    true = recorded(stock)
    payments.world.append(true)

    for message in (forged_over_one_euro(true, stock), Message(from_the_bus(true))):
        assert payments.world.deliver(charge_order.handler, message) == []

    assert payments.taken() == {"eur": 400_000}
    assert_consistent(payments)


def test_a_forged_message_that_is_sent_before_the_true_event_charges_nothing(payments: Payments) -> None:
    stock = payments.reserved(amount=400_000)
    true = recorded(stock)

    assert payments.world.deliver(charge_order.handler, forged_over_one_euro(true, stock)) == []
    assert (payments.taken(), errors(payments.world.dead_letters())) == ({}, ["NotRecorded"])

    assert payments.world.deliver(charge_order.handler, from_the_bus(true)) == []
    assert payments.taken() == {"eur": 400_000}

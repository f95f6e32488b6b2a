"""Charging: a customer pays for an order once, whatever becomes of calls, answers and processes, and we know it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daybook.consumers.effect_records import CONCLUDED, WITHDRAWN
from daybook.contracts.envelope import Envelope
from daybook.local.provider import ALWAYS, Fault
from daybook.runtime import settings as here
from events.inventory import StockReserved
from events.payments import PaymentFailed, PaymentSucceeded
from functions.payments import charge_order
from tests.unit import faults
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.test_effects import time_passes
from tests.unit.till import Till, adds_up, charge, once, outlive, the_message

CREATE, CONFIRM, RETRIEVE, CANCEL = (f"payment_intents.{name}" for name in ("create", "confirm", "retrieve", "cancel"))


def failed(till: Till, reason: str) -> list[PaymentFailed]:
    return [PaymentFailed(order_id=till.order, reason=reason)]


def late(stock: StockReserved) -> StockReserved:
    """The same, whose time to pay is over."""
    return stock.model_copy(update={"pay_by": datetime.now(UTC) - timedelta(seconds=1)})


def afterwards(envelope: Envelope, stock: StockReserved) -> Message:
    """A later delivery of the same event, when its time to pay is over."""
    return Message(from_the_bus(recorded(late(stock), id=envelope.metadata.id)), tries=2)


# --- paid, or not -----------------------------------------------------------------------------------------------------


def test_a_good_card_is_charged_once_and_the_payment_is_told(till: Till) -> None:
    stock = till.reserved()

    assert charge(till, stock) == 1

    (made,) = till.charges()
    assert (made.status, made.amount, made.currency, made.metadata) == ("succeeded", 4200, "eur", {"order": till.order})
    assert till.told() == [PaymentSucceeded(order_id=till.order, payment_id=made.payment, amount=stock.total)]
    assert till.attempt(f"charge/{till.order}")["state"] == CONCLUDED


@pytest.mark.parametrize(
    ("currency", "amount", "taken"), [("JPY", 500, 500), ("KWD", 12340, 12340), ("ISK", 500, 50000), ("EUR", 50, 50)]
)
def test_an_amount_is_charged_as_the_provider_counts_it(till: Till, currency: str, amount: int, taken: int) -> None:
    charge(till, till.reserved(amount=amount, currency=currency))

    assert till.taken() == {currency.lower(): taken}
    adds_up(till)


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
def test_what_cannot_be_paid_is_told_with_the_reason(
    till: Till, method: str, amount: int, currency: str, reason: str
) -> None:
    assert charge(till, till.reserved(method, amount, currency)) == 1

    assert till.told() == failed(till, reason)
    assert till.taken() == {}
    assert till.dead() == []


def test_an_order_that_costs_nothing_is_paid_without_asking_anybody(till: Till) -> None:
    stock = till.reserved(method="", amount=0)

    charge(till, stock)

    assert till.told() == [PaymentSucceeded(order_id=till.order, payment_id="", amount=stock.total)]
    assert till.payments() == []


def test_a_payment_that_its_customer_would_have_to_authenticate_is_called_off(till: Till) -> None:
    charge(till, till.reserved("pm_card_authenticationRequired"))

    assert till.told() == failed(till, "authentication_required")
    assert till.payments() == ["canceled"]


def test_a_payment_in_processing_is_waited_for_without_counting(till: Till) -> None:
    stock = till.reserved("pm_usBankAccount_success", currency="USD")
    envelope, message = the_message(stock)
    assert till.world.deliver(charge_order.handler, message) == [message]
    assert [list(entry.tries) for entry in till.world.entries(envelope)] == [[]]

    till.provider.settle(till.order)
    outlive(till, Message(message.body, tries=2))

    assert till.taken() == {"usd": 4200}
    adds_up(till)
    assert till.dead() == []


def test_a_bank_debit_that_fails_in_the_end_is_told_with_the_reason(till: Till) -> None:
    _, message = the_message(till.reserved("pm_usBankAccount_success", currency="USD"))
    till.world.deliver(charge_order.handler, message)

    till.provider.settle(till.order, fails="insufficient_funds")
    outlive(till, Message(message.body, tries=2))

    assert till.told() == failed(till, "insufficient_funds")


def test_a_payment_that_is_in_processing_for_too_long_is_called_off_if_it_can_be(till: Till) -> None:
    stock = till.reserved("pm_usBankAccount_processing", currency="USD")
    envelope, message = the_message(stock)
    assert till.world.deliver(charge_order.handler, message) == [message]

    outlive(till, afterwards(envelope, stock))

    assert till.told() == failed(till, "not_paid_in_time")
    assert till.payments() == ["canceled"]


def test_a_payment_that_cannot_be_called_off_any_more_is_waited_for(till: Till) -> None:
    stock = till.reserved("pm_usBankAccount_success", currency="USD")
    envelope, message = the_message(stock)
    assert till.world.deliver(charge_order.handler, message) == [message]
    too_late = afterwards(envelope, stock)
    assert till.world.deliver(charge_order.handler, too_late) == [too_late]

    till.provider.settle(till.order)
    outlive(till, Message(too_late.body, tries=3))

    assert till.taken() == {"usd": 4200}
    adds_up(till)
    assert till.dead() == []


def test_a_payment_that_nobody_confirmed_in_time_is_called_off(till: Till) -> None:
    stock = till.reserved()
    envelope, message = the_message(stock)
    with till.provider.inject(Fault.dropped("before", operation=CONFIRM, order=till.order)):
        till.world.deliver(charge_order.handler, message)

    outlive(till, afterwards(envelope, stock))

    assert till.told() == failed(till, "not_paid_in_time")
    assert till.payments() == ["canceled"]


def test_what_is_too_late_at_the_first_look_is_not_confirmed(till: Till) -> None:
    charge(till, late(till.reserved()))

    assert till.told() == failed(till, "not_paid_in_time")
    assert till.payments() == []


# --- bad days ---------------------------------------------------------------------------------------------------------

BAD: dict[str, Callable[..., Fault]] = {
    "dropped before": lambda **where: Fault.dropped("before", **where),
    "dropped after": lambda **where: Fault.dropped("after", **where),
    "503 before": lambda **where: Fault.unavailable("before", **where),
    "503 after": lambda **where: Fault.unavailable("after", **where),
    "500 before": lambda **where: Fault.server_error("before", **where),
    "500 after": lambda **where: Fault.server_error("after", **where),
    "429": Fault.rate_limited,
    "lock timeout": Fault.lock_timeout,
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("operation", [CREATE, CONFIRM])
@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_visa_chargeDeclined"])
def test_one_call_that_goes_wrong_changes_nothing_for_the_customer(
    till: Till, bad: str, operation: str, method: str
) -> None:
    fault = BAD[bad](operation=operation, order=till.order)
    with till.provider.inject(fault):
        charge(till, till.reserved(method))

    assert till.provider.injected_count(fault) == 1
    adds_up(till)
    assert till.dead() == []


@pytest.mark.parametrize("bad", BAD)
def test_a_look_at_the_payment_that_goes_wrong_is_taken_again(till: Till, bad: str) -> None:
    lost = Fault.dropped("after", operation=CONFIRM, order=till.order)
    look = BAD[bad](operation=RETRIEVE, order=till.order)
    with till.provider.inject(lost, look):
        charge(till, till.reserved())

    assert till.provider.injected_count(look) == 1
    assert till.taken() == {"eur": 4200}
    assert len(till.told()) == 1
    adds_up(till)


@pytest.mark.parametrize("bad", BAD)
def test_a_payment_whose_calling_off_goes_wrong_is_not_taken_all_the_same(till: Till, bad: str) -> None:
    with till.provider.inject(BAD[bad](operation=CANCEL, order=till.order)):
        charge(till, till.reserved("pm_card_authenticationRequired"))

    assert till.told() == failed(till, "authentication_required")
    adds_up(till)


@pytest.mark.parametrize("operation", [CREATE, CONFIRM])
def test_a_provider_that_never_answers_leaves_a_dead_letter(till: Till, operation: str) -> None:
    with till.provider.inject(Fault.dropped("after", operation=operation, order=till.order, times=ALWAYS)):
        charge(till, till.reserved())

    adds_up(till)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", [CREATE, CONFIRM])
def test_an_answer_that_comes_too_late_is_asked_for_again(
    till: Till, monkeypatch: pytest.MonkeyPatch, operation: str, when: Literal["before", "after"]
) -> None:
    monkeypatch.setenv(here.CALL_TIMEOUT, "0.3")
    slow = Fault.delayed(1.0, when, operation=operation, order=till.order)
    with till.provider.inject(slow):
        charge(till, till.reserved())

    assert till.taken() in ({"eur": 4200}, {})
    adds_up(till)


# Guards: that a confirmation which another one has overtaken is looked at, and not taken for a refusal.
def test_a_confirmation_that_was_overtaken_by_a_slow_one_before_it_is_no_refusal(till: Till) -> None:
    overtaken = Fault.error(
        400,
        "invalid_request_error",
        "You cannot confirm this PaymentIntent because it has already succeeded.",
        code="payment_intent_unexpected_state",
        when="after",
        operation=CONFIRM,
        order=till.order,
    )
    with till.provider.inject(overtaken):
        charge(till, till.reserved())

    assert till.taken() == {"eur": 4200}
    assert till.dead() == []
    adds_up(till)


def test_a_key_that_is_in_use_is_waited_for(till: Till) -> None:
    in_use = Fault.error(
        409, "invalid_request_error", "in use", code="idempotency_key_in_use", operation=CREATE, order=till.order
    )
    with till.provider.inject(in_use):
        charge(till, till.reserved())

    assert till.taken() == {"eur": 4200}
    adds_up(till)


@pytest.mark.parametrize("key", ["sk_live_refused", "a generated text", "sk_test_\u2013dash", None])
def test_a_key_that_opens_nothing_costs_no_order_and_the_reason_says_where_to_look(
    till: Till, capsys: pytest.CaptureFixture[str], key: str | None
) -> None:
    till.use_key(key)
    envelope, message = the_message(till.reserved())

    assert till.world.deliver(charge_order.handler, message) == [message]

    assert till.attempt(f"charge/{till.order}")["state"] == WITHDRAWN
    assert [list(entry.tries) for entry in till.world.entries(envelope)] == [[]]
    assert "daybook doctor" in capsys.readouterr().out


def test_once_the_key_is_right_the_order_is_charged(till: Till) -> None:
    till.use_key("sk_live_refused")
    _, message = the_message(till.reserved())
    till.world.deliver(charge_order.handler, message)

    till.use_key(till.provider.key)
    outlive(till, Message(message.body, tries=2))

    assert till.taken() == {"eur": 4200}
    adds_up(till)


# Guards: the note of the payment's id.
def test_keys_that_the_provider_forgets_between_attempts_cost_no_second_charge(till: Till) -> None:
    with till.provider.inject(
        Fault.dropped("after", operation=CREATE, order=till.order),
        Fault.dropped("after", operation=CONFIRM, order=till.order),
    ):
        charge(till, till.reserved(), between=till.provider.forget_keys)

    assert till.taken() == {"eur": 4200}
    adds_up(till)


# Guards: the idempotency key.
def test_a_payment_whose_making_was_not_heard_of_is_not_made_again(till: Till) -> None:
    with till.provider.inject(Fault.dropped("after", operation=CREATE, order=till.order)):
        charge(till, till.reserved())

    assert till.payments() == ["succeeded"]


def test_a_payment_that_another_account_does_not_know_is_never_told_as_failed(till: Till) -> None:
    unknown = Fault.error(
        404, "invalid_request_error", "none", code="resource_missing", operation=RETRIEVE, order=till.order
    )
    with till.provider.inject(Fault.dropped("after", operation=CONFIRM, order=till.order), unknown):
        charge(till, till.reserved())

    assert till.taken() == {"eur": 4200}
    assert till.told() == []
    assert till.dead() == ["NonRetryable"]


# --- processes that die, deliveries that come twice -------------------------------------------------------------------


# Guards: the attempt before the call, the note of the payment's id.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
@pytest.mark.parametrize("lost", [None, CREATE, CONFIRM])
def test_whenever_a_process_dies_the_customer_is_charged_once_and_it_is_told(
    till: Till, call: int | str, after: bool, lost: str | None
) -> None:
    faults.die_at_call(call, after=after)
    accidents = [Fault.dropped("after", operation=lost, order=till.order)] if lost else []
    with till.provider.inject(*accidents):
        charge(till, till.reserved(), between=till.provider.forget_keys)

    assert till.taken() == {"eur": 4200}
    assert len(till.told()) == 1
    adds_up(till)


@pytest.mark.parametrize("operation", ["UpdateItem", "TransactWriteItems"])
def test_a_second_delivery_at_the_same_time_charges_nobody(till: Till, operation: str) -> None:
    _, message = the_message(till.reserved())
    twin = Message(message.body)
    faults.meanwhile(operation, lambda: None, lambda: till.world.deliver(charge_order.handler, twin))
    outlive(till, message)
    outlive(till, Message(message.body, tries=2))

    assert len(till.charges()) == 1
    adds_up(till)


# Guards: the attempt before the call.
def test_a_process_that_another_takes_over_from_leaves_it_the_payment(till: Till) -> None:
    _, message = the_message(till.reserved())

    def another() -> None:
        time_passes(till.world)
        till.world.deliver(charge_order.handler, Message(message.body, tries=2))

    faults.meanwhile("UpdateItem", lambda: None, another)
    outlive(till, message)

    assert till.taken() == {"eur": 4200}
    assert len(till.charges()) == 1
    adds_up(till)


def test_two_events_that_ask_for_the_same_charge_the_customer_once(till: Till) -> None:
    stock = till.reserved()
    charge(till, stock)
    till.provider.forget_keys()
    charge(till, stock)

    assert len(till.charges()) == 1
    adds_up(till)


def test_two_events_at_once_that_ask_for_the_same_charge_the_customer_once(till: Till) -> None:
    stock = till.reserved()
    waited: list[list[Message]] = []
    faults.meanwhile("TransactWriteItems", lambda: waited.append(once(till, stock)))
    charge(till, stock)

    assert [len(messages) for messages in waited] == [1]
    assert len(till.charges()) == 1
    adds_up(till)


# --- any bad day ------------------------------------------------------------------------------------------------------

CALLS = st.sampled_from([CREATE, CONFIRM, RETRIEVE, CANCEL])
ACCIDENTS = st.lists(st.tuples(st.sampled_from(sorted(BAD)), CALLS), max_size=6)
METHODS = st.sampled_from(["pm_card_visa", "pm_card_visa_chargeDeclined", "pm_card_authenticationRequired"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(accidents=ACCIDENTS, method=METHODS, forgets=st.booleans(), is_late=st.booleans())
def test_whatever_goes_wrong_the_customer_is_charged_once_at_most_and_what_is_told_is_true(
    till: Till, accidents: list[tuple[str, str]], method: str, forgets: bool, is_late: bool
) -> None:
    this = Till(till.world, till.provider)
    this.world.clear("ledger")
    before = len(this.world.dead_letters())
    stock = this.reserved(method)
    with this.provider.inject(*(BAD[bad](operation=call, order=this.order) for bad, call in accidents)):
        charge(
            this,
            late(stock) if is_late else stock,
            between=this.provider.forget_keys if forgets else lambda: None,
        )

    new = this.world.dead_letters()[before:]
    assert len(this.told()) + len(new) == 1
    assert {letter.error for letter in new} <= {"OutcomeUnknown"}
    succeeded = [each for each in this.charges() if each.status == "succeeded"]
    assert len(succeeded) <= 1
    if this.told():
        assert [isinstance(event, PaymentSucceeded) for event in this.told()] == [bool(succeeded)]

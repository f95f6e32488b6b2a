"""Refunding: under every fault each refund is made once, and the event agrees with the provider."""

from collections.abc import Callable

import pytest

from daybook.consumers.effect_records import OPEN, WITHDRAWN
from daybook.local.provider import ALWAYS, Fault
from daybook.runtime import settings as here
from events.orders import RefundRequested
from events.payments import PaymentRefunded, RefundFailed
from functions.payments import refund_order
from tests.unit import faults
from tests.unit.builders import Message
from tests.unit.shop.payments import DEPLOYMENT, OWNER, Payments, deliver, message_of, refund, retry_until_done
from tests.unit.test_effects import time_passes

CREATE, LIST = "refunds.create", "refunds.list"


def refund_events(payments: Payments) -> list[PaymentRefunded]:
    """The events about refunds."""
    return [event for event in payments.events() if isinstance(event, PaymentRefunded)]


def failures(payments: Payments) -> list[tuple[str, str, bool]]:
    """The refunds that have failed: id, reason, and whether they were said to be made."""
    return [
        (event.refund_id, event.failure, event.paid_out)
        for event in payments.events()
        if isinstance(event, RefundFailed)
    ]


def assert_refunded_once(payments: Payments, request: RefundRequested) -> None:
    """The provider has one refund, and there is one event about it."""
    (made,) = payments.refunds()
    assert made.amount == request.amount.amount
    (event,) = refund_events(payments)
    assert (event.refund_id, event.amount, event.provider_id) == (request.refund_id, request.amount, made.id)


@pytest.mark.parametrize("amount", [4200, 1])
def test_a_requested_refund_is_made_once(payments: Payments, amount: int) -> None:
    request = payments.refund_request(payments.pay(), amount)

    assert refund(payments, request) == 1

    assert_refunded_once(payments, request)
    (made,) = payments.refunds()
    assert made.metadata == {"order": payments.order, "refund": "R-1", **OWNER}
    assert made.idempotency_key == f"test/{DEPLOYMENT}/refund/{payments.order}/R-1"
    (event,) = refund_events(payments)
    assert (event.reason, event.customer) == (request.reason, request.customer)
    assert payments.effect_record(f"refund/{payments.order}/R-1")["state"] == OPEN


@pytest.mark.parametrize(("currency", "amount", "returned"), [("JPY", 500, 500), ("KWD", 1230, 1230), ("ISK", 5, 500)])
def test_an_amount_is_refunded_in_the_units_of_the_provider(
    payments: Payments, currency: str, amount: int, returned: int
) -> None:
    payment = payments.pay(amount=50_000, currency=currency)

    refund(payments, payments.refund_request(payment, amount, currency=currency))

    assert [made.amount for made in payments.refunds()] == [returned]


def test_an_order_can_have_several_refunds(payments: Payments) -> None:
    payment = payments.pay()
    for refund_id, amount in (("R-1", 200), ("R-2", 4000)):
        refund(payments, payments.refund_request(payment, amount, refund_id))

    assert [made.amount for made in payments.refunds()] == [200, 4000]
    assert [event.refund_id for event in refund_events(payments)] == ["R-1", "R-2"]


def test_two_events_with_the_same_refund_id_make_one_refund(payments: Payments) -> None:
    request = payments.refund_request(payments.pay(), 200)
    refund(payments, request)
    payments.provider.forget_keys()
    refund(payments, request)

    assert_refunded_once(payments, request)


def test_two_concurrent_events_with_the_same_refund_id_make_one_refund(payments: Payments) -> None:
    request = payments.refund_request(payments.pay(), 200)
    retried: list[list[Message]] = []
    faults.meanwhile(
        "TransactWriteItems", lambda: retried.append(deliver(payments, request, handler=refund_order.handler))
    )
    refund(payments, request)

    assert [len(messages) for messages in retried] == [1]
    assert_refunded_once(payments, request)


@pytest.mark.parametrize(("first", "second"), [(0, 4201), (4000, 201), (4200, 1)])
def test_a_refund_above_the_rest_of_the_payment_is_refused(payments: Payments, first: int, second: int) -> None:
    payment = payments.pay()
    if first:
        refund(payments, payments.refund_request(payment, first))
    refund(payments, payments.refund_request(payment, second, "R-2"))

    expected = "charge_already_refunded" if first == 4200 else "amount_above_rest"
    assert failures(payments) == [("R-2", expected, False)]
    assert payments.dead() == []
    assert sum(made.amount for made in payments.refunds()) == first


def test_a_refund_that_would_have_to_be_rounded_is_refused(payments: Payments) -> None:
    payment = payments.pay(amount=12340, currency="KWD")

    refund(payments, payments.refund_request(payment, 1234, currency="KWD"))

    assert failures(payments) == [("R-1", "amount_not_refundable", False)]
    assert (payments.dead(), payments.refunds()) == ([], [])


def test_a_refund_of_an_unknown_payment_is_refused(payments: Payments) -> None:
    payments.pay()

    refund(payments, payments.refund_request("pi_of_another_account", 200))

    assert failures(payments) == [("R-1", "resource_missing", False)]
    assert (payments.dead(), payments.refunds(), refund_events(payments)) == ([], [], [])


def test_a_request_that_is_invalid_because_of_this_system_is_a_dead_letter(payments: Payments) -> None:
    request = payments.refund_request(payments.pay(), 200)
    invalid = Fault.error(400, "invalid_request_error", "Unknown.", code="parameter_unknown", operation=CREATE)
    with payments.provider.inject(invalid):
        refund(payments, request)

    assert (payments.dead(), failures(payments)) == (["NonRetryable"], [])
    assert payments.effect_record(f"refund/{payments.order}/R-1")["state"] == WITHDRAWN


# --- faults -----------------------------------------------------------------------------------------------------------

FAULTS: dict[str, Callable[..., Fault]] = {
    "dropped before": lambda **where: Fault.dropped("before", **where),
    "dropped after": lambda **where: Fault.dropped("after", **where),
    "503 before": lambda **where: Fault.unavailable("before", **where),
    "503 after": lambda **where: Fault.unavailable("after", **where),
    "500 after": lambda **where: Fault.server_error("after", **where),
    "429": Fault.rate_limited,
    "lock timeout": Fault.lock_timeout,
}


# Guards: the search among the payment's refunds when the outcome is unknown.
@pytest.mark.parametrize("expires", [False, True], ids=["keys kept", "keys expired"])
@pytest.mark.parametrize("kind", FAULTS)
def test_one_failed_call_changes_nothing_for_the_customer(payments: Payments, kind: str, expires: bool) -> None:
    request = payments.refund_request(payments.pay(), 200)
    fault = FAULTS[kind](operation=CREATE, order=payments.order)
    with payments.provider.inject(fault):
        refund(payments, request, between=payments.provider.forget_keys if expires else lambda: None)

    assert payments.provider.injected_count(fault) == 1
    assert payments.dead() == []
    assert_refunded_once(payments, request)


@pytest.mark.parametrize("kind", [*FAULTS, "500 before"])
def test_a_failed_search_among_the_refunds_is_retried(payments: Payments, kind: str) -> None:
    request = payments.refund_request(payments.pay(), 200)
    lost = Fault.dropped("after", operation=CREATE, order=payments.order)
    fault = FAULTS.get(kind, Fault.server_error)
    with payments.provider.inject(lost, fault(operation=LIST, order=payments.order)):
        refund(payments, request, between=payments.provider.forget_keys)

    assert payments.dead() == []
    assert_refunded_once(payments, request)


def test_a_refund_whose_creation_had_no_answer_is_found_among_others(payments: Payments) -> None:
    payment = payments.pay()
    refund(payments, payments.refund_request(payment, 200, "R-1"))
    with payments.provider.inject(Fault.dropped("after", operation=CREATE, order=payments.order)):
        refund(payments, payments.refund_request(payment, 200, "R-2"), between=payments.provider.forget_keys)

    assert [made.metadata["refund"] for made in payments.refunds()] == ["R-1", "R-2"]
    assert [(event.refund_id, event.provider_id) for event in refund_events(payments)] == [
        (f"R-{number}", made.id) for number, made in enumerate(payments.refunds(), 1)
    ]


def test_a_full_refund_whose_creation_had_no_answer_is_found(payments: Payments) -> None:
    request = payments.refund_request(payments.pay())
    with payments.provider.inject(Fault.dropped("after", operation=CREATE, order=payments.order)):
        refund(payments, request, between=payments.provider.forget_keys)

    assert payments.dead() == []
    assert_refunded_once(payments, request)


# Guards: the idempotency key.
def test_calls_that_are_still_in_flight_make_one_refund(payments: Payments, monkeypatch: pytest.MonkeyPatch) -> None:
    request = payments.refund_request(payments.pay(), 200)
    monkeypatch.setenv(here.CALL_TIMEOUT, "0.3")
    here.settings.cache_clear()
    payments.use_key(payments.provider.key)
    slow = Fault.delayed(30, "before", operation=CREATE, order=payments.order)
    _, message = message_of(request)
    with payments.provider.inject(slow):
        for tries in (1, 2):
            delivered = Message(message.body, tries=tries, id=message.id)
            assert payments.world.deliver(refund_order.handler, delivered) == [delivered]
            time_passes(payments.world)
        assert payments.refunds() == []

    retry_until_done(payments, Message(message.body, tries=3), handler=refund_order.handler)
    assert_refunded_once(payments, request)


def test_a_provider_that_never_answers_leaves_a_dead_letter_and_one_refund(payments: Payments) -> None:
    request = payments.refund_request(payments.pay(), 200)
    with payments.provider.inject(
        Fault.dropped("after", operation=CREATE, order=payments.order),
        Fault.unavailable(operation=LIST, order=payments.order, times=ALWAYS),
    ):
        refund(payments, request)

    assert payments.dead() == ["OutcomeUnknown"]
    assert len(payments.refunds()) == 1
    assert payments.effect_record(f"refund/{payments.order}/R-1")["state"] == OPEN
    assert refund_events(payments) == []


@pytest.mark.parametrize("key", ["sk_live_refused", None])
def test_with_an_invalid_api_key_refunds_wait(payments: Payments, key: str | None) -> None:
    request = payments.refund_request(payments.pay(), 200)
    payments.use_key(key)
    _, message = message_of(request)

    assert payments.world.deliver(refund_order.handler, message) == [message]

    assert payments.effect_record(f"refund/{payments.order}/R-1")["state"] == WITHDRAWN
    assert payments.refunds() == []


# Guards: the effect record before the call, the search among the payment's refunds when the outcome is unknown.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
@pytest.mark.parametrize("lost", [False, True], ids=["answered", "unanswered"])
def test_a_killed_process_makes_each_refund_once(payments: Payments, call: int | str, after: bool, lost: bool) -> None:
    request = payments.refund_request(payments.pay(), 200)
    faults.die_at_call(call, after=after)
    dropped = [Fault.dropped("after", operation=CREATE, order=payments.order)] if lost else []
    with payments.provider.inject(*dropped):
        refund(payments, request, between=payments.provider.forget_keys)

    assert_refunded_once(payments, request)

"""Refunding: each refund is paid back once, whatever becomes of calls, answers and processes, and we know it."""

from collections.abc import Callable

import pytest

from daybook.consumers.effect_records import CONCLUDED, OPEN, WITHDRAWN
from daybook.local.provider import ALWAYS, Fault
from daybook.runtime import settings as here
from events.orders import RefundRequested
from events.payments import PaymentRefunded
from functions.payments import refund_order
from tests.unit import faults
from tests.unit.builders import Message
from tests.unit.test_effects import time_passes
from tests.unit.till import Till, once, outlive, pay_back, the_message

CREATE, LIST = "refunds.create", "refunds.list"


def made(till: Till) -> list[PaymentRefunded]:
    """The refunds that are told."""
    return [event for event in till.told() if isinstance(event, PaymentRefunded)]


def returned_once(till: Till, asked: RefundRequested) -> None:
    """It is in the provider's book once, and told once."""
    (refund,) = till.refunds()
    assert refund.amount == asked.amount.amount
    (told,) = made(till)
    assert (told.refund_id, told.amount, told.provider_id) == (asked.refund_id, asked.amount, refund.id)


@pytest.mark.parametrize("amount", [4200, 1])
def test_what_is_asked_for_is_paid_back_once_and_told(till: Till, amount: int) -> None:
    asked = till.refund(till.paid(), amount)

    assert pay_back(till, asked) == 1

    returned_once(till, asked)
    (refund,) = till.refunds()
    assert refund.metadata == {"order": till.order, "refund": "R-1"}
    assert refund.idempotency_key == f"refund/{till.order}/R-1"
    (told,) = made(till)
    assert (told.because, told.customer) == (asked.because, asked.customer)
    assert till.attempt(f"refund/{till.order}/R-1")["state"] == CONCLUDED


@pytest.mark.parametrize(("currency", "amount", "returned"), [("JPY", 500, 500), ("KWD", 1230, 1230), ("ISK", 5, 500)])
def test_an_amount_is_paid_back_as_the_provider_counts_it(
    till: Till, currency: str, amount: int, returned: int
) -> None:
    payment = till.paid(amount=50_000, currency=currency)

    pay_back(till, till.refund(payment, amount, currency=currency))

    assert [refund.amount for refund in till.refunds()] == [returned]


def test_several_refunds_of_one_order_are_paid_back_one_by_one(till: Till) -> None:
    payment = till.paid()
    for refund_id, amount in (("R-1", 200), ("R-2", 4000)):
        pay_back(till, till.refund(payment, amount, refund_id))

    assert [refund.amount for refund in till.refunds()] == [200, 4000]
    assert [told.refund_id for told in made(till)] == ["R-1", "R-2"]


def test_the_same_refund_asked_for_by_two_events_is_paid_back_once(till: Till) -> None:
    asked = till.refund(till.paid(), 200)
    pay_back(till, asked)
    till.provider.forget_keys()
    pay_back(till, asked)

    returned_once(till, asked)


def test_the_same_refund_asked_for_by_two_events_at_once_is_paid_back_once(till: Till) -> None:
    asked = till.refund(till.paid(), 200)
    waited: list[list[Message]] = []
    faults.meanwhile("TransactWriteItems", lambda: waited.append(once(till, asked, handler=refund_order.handler)))
    pay_back(till, asked)

    assert [len(messages) for messages in waited] == [1]
    returned_once(till, asked)


@pytest.mark.parametrize(("first", "second"), [(0, 4201), (4000, 201), (4200, 1)])
def test_more_than_is_left_is_refused_and_nothing_is_paid_back(till: Till, first: int, second: int) -> None:
    payment = till.paid()
    if first:
        pay_back(till, till.refund(payment, first))
    pay_back(till, till.refund(payment, second, "R-2"))

    assert till.dead() == ["NonRetryable"]
    assert till.attempt(f"refund/{till.order}/R-2")["state"] == WITHDRAWN
    assert sum(refund.amount for refund in till.refunds()) == first


def test_an_amount_that_the_provider_cannot_move_is_refused(till: Till) -> None:
    payment = till.paid(amount=12340, currency="KWD")

    pay_back(till, till.refund(payment, 1234, currency="KWD"))

    assert (till.dead(), till.refunds()) == (["NonRetryable"], [])


def test_a_payment_that_this_account_does_not_know_is_refused(till: Till) -> None:
    pay_back(till, till.refund("pi_of_another_account", 200))

    assert (till.dead(), till.refunds(), made(till)) == (["NonRetryable"], [], [])


# --- bad days ---------------------------------------------------------------------------------------------------------

BAD: dict[str, Callable[..., Fault]] = {
    "dropped before": lambda **where: Fault.dropped("before", **where),
    "dropped after": lambda **where: Fault.dropped("after", **where),
    "503 before": lambda **where: Fault.unavailable("before", **where),
    "503 after": lambda **where: Fault.unavailable("after", **where),
    "500 after": lambda **where: Fault.server_error("after", **where),
    "429": Fault.rate_limited,
    "lock timeout": Fault.lock_timeout,
}


# Guards: that in doubt the payment's refunds are looked through.
@pytest.mark.parametrize("forgets", [False, True], ids=["keys kept", "keys forgotten"])
@pytest.mark.parametrize("bad", BAD)
def test_one_call_that_goes_wrong_changes_nothing_for_the_customer(till: Till, bad: str, forgets: bool) -> None:
    asked = till.refund(till.paid(), 200)
    fault = BAD[bad](operation=CREATE, order=till.order)
    with till.provider.inject(fault):
        pay_back(till, asked, between=till.provider.forget_keys if forgets else lambda: None)

    assert till.provider.injected_count(fault) == 1
    assert till.dead() == []
    returned_once(till, asked)


@pytest.mark.parametrize("bad", [*BAD, "500 before"])
def test_a_look_at_the_refunds_that_goes_wrong_is_taken_again(till: Till, bad: str) -> None:
    asked = till.refund(till.paid(), 200)
    lost = Fault.dropped("after", operation=CREATE, order=till.order)
    wrong = BAD.get(bad, Fault.server_error)
    with till.provider.inject(lost, wrong(operation=LIST, order=till.order)):
        pay_back(till, asked, between=till.provider.forget_keys)

    assert till.dead() == []
    returned_once(till, asked)


def test_a_refund_that_was_made_unheard_is_found_among_others_and_not_made_again(till: Till) -> None:
    payment = till.paid()
    pay_back(till, till.refund(payment, 200, "R-1"))
    with till.provider.inject(Fault.dropped("after", operation=CREATE, order=till.order)):
        pay_back(till, till.refund(payment, 200, "R-2"), between=till.provider.forget_keys)

    assert [refund.metadata["refund"] for refund in till.refunds()] == ["R-1", "R-2"]
    assert [(told.refund_id, told.provider_id) for told in made(till)] == [
        (f"R-{number}", refund.id) for number, refund in enumerate(till.refunds(), 1)
    ]


def test_a_full_refund_that_was_made_unheard_is_found(till: Till) -> None:
    asked = till.refund(till.paid())
    with till.provider.inject(Fault.dropped("after", operation=CREATE, order=till.order)):
        pay_back(till, asked, between=till.provider.forget_keys)

    assert till.dead() == []
    returned_once(till, asked)


# Guards: the idempotency key.
def test_an_answer_that_is_still_on_its_way_is_not_a_reason_to_pay_back_twice(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = till.refund(till.paid(), 200)
    monkeypatch.setenv(here.CALL_TIMEOUT, "0.3")
    here.settings.cache_clear()
    till.use_key(till.provider.key)
    slow = Fault.delayed(30, "before", operation=CREATE, order=till.order)
    _, message = the_message(asked)
    with till.provider.inject(slow):
        for tries in (1, 2):
            delivered = Message(message.body, tries=tries, id=message.id)
            assert till.world.deliver(refund_order.handler, delivered) == [delivered]
            time_passes(till.world)
        assert till.refunds() == []

    outlive(till, Message(message.body, tries=3), handler=refund_order.handler)
    returned_once(till, asked)


def test_a_provider_that_never_answers_leaves_a_dead_letter_and_one_refund(till: Till) -> None:
    asked = till.refund(till.paid(), 200)
    with till.provider.inject(
        Fault.dropped("after", operation=CREATE, order=till.order),
        Fault.unavailable(operation=LIST, order=till.order, times=ALWAYS),
    ):
        pay_back(till, asked)

    assert till.dead() == ["OutcomeUnknown"]
    assert len(till.refunds()) == 1
    assert till.attempt(f"refund/{till.order}/R-1")["state"] == OPEN
    assert made(till) == []


@pytest.mark.parametrize("key", ["sk_live_refused", None])
def test_a_key_that_opens_nothing_costs_no_refund(till: Till, key: str | None) -> None:
    asked = till.refund(till.paid(), 200)
    till.use_key(key)
    _, message = the_message(asked)

    assert till.world.deliver(refund_order.handler, message) == [message]

    assert till.attempt(f"refund/{till.order}/R-1")["state"] == WITHDRAWN
    assert till.refunds() == []


# Guards: the attempt before the call, that in doubt the payment's refunds are looked through.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
@pytest.mark.parametrize("lost", [False, True], ids=["answered", "unheard"])
def test_whenever_a_process_dies_each_refund_is_paid_back_once_and_told(
    till: Till, call: int | str, after: bool, lost: bool
) -> None:
    asked = till.refund(till.paid(), 200)
    faults.die_at_call(call, after=after)
    accidents = [Fault.dropped("after", operation=CREATE, order=till.order)] if lost else []
    with till.provider.inject(*accidents):
        pay_back(till, asked, between=till.provider.forget_keys)

    returned_once(till, asked)

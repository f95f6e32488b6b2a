"""Refunds that are pending, or fail after the provider has made them: each is checked until it is certain."""

from datetime import UTC, datetime, timedelta

import pytest

from daybook.contracts import clock
from events.payments import PaymentRefunded, RefundCheckDue, RefundFailed, RefundUnsettled
from functions.payments import check_refund, watch_refund, watch_unsettled_refund
from functions.payments.refund_checks import PAUSES
from tests.unit.shop.payments import Payments, charge, message_of, refund, retry_until_done

DAY = timedelta(days=1)


def pay(payments: Payments, method: str) -> str:
    charge(payments, payments.reserved(method))
    return payments.charges()[-1].payment


def scheduled(payments: Payments) -> list[tuple[RefundCheckDue, datetime]]:
    """The checks that are scheduled, with their times."""
    rows = payments.world.items("due")
    return [(RefundCheckDue.read(row["data"], version=1), clock.moment(row["time"])) for row in rows]


def watch(payments: Payments) -> None:
    """Deliver the newest event about the refund to the function that schedules the next check."""
    event = payments.events()[-1]
    handler = watch_refund.handler if isinstance(event, PaymentRefunded) else watch_unsettled_refund.handler
    payments.world.deliver(handler, message_of(event)[1])


def check(payments: Payments) -> int:
    """Deliver the check that is scheduled last. Returns the number of deliveries."""
    due, _ = max(scheduled(payments), key=lambda each: each[1])
    return retry_until_done(payments, message_of(due)[1], handler=check_refund.handler)


def kinds(payments: Payments) -> list[str]:
    return [type(event).__name__ for event in payments.events()][1:]


def test_a_refund_that_was_made_is_checked_until_the_bank_can_no_longer_return_it(payments: Payments) -> None:
    refund(payments, payments.refund_request(pay(payments, "pm_card_refundFail")))
    for _ in PAUSES:
        watch(payments)
        check(payments)

    assert kinds(payments) == ["PaymentRefunded", *["RefundUnsettled"] * 4]
    days = sorted(round((at - datetime.now(UTC)) / DAY) for _, at in scheduled(payments))
    assert (days, sum(days)) == ([1, 2, 4, 7, 16], 30)
    assert {(due.paid_out, due.refund_id) for due, _ in scheduled(payments)} == {(True, "R-1")}
    assert payments.dead() == []


def test_a_refund_that_the_bank_returns_after_it_was_made_has_failed(payments: Payments) -> None:
    request = payments.refund_request(pay(payments, "pm_card_refundFail"), 200)
    refund(payments, request)
    watch(payments)
    payments.provider.settle_refund(payments.order, fails="expired_or_canceled_card")

    check(payments)

    (made,) = payments.refunds()
    (failed,) = (event for event in payments.events() if isinstance(event, RefundFailed))
    assert (failed.paid_out, failed.failure) == (True, "expired_or_canceled_card")
    assert (failed.refund_id, failed.amount, failed.provider_id) == ("R-1", request.amount, made.id)


def test_a_pending_refund_is_made_when_the_provider_has_settled_it(payments: Payments) -> None:
    refund(payments, payments.refund_request(pay(payments, "pm_card_pendingRefund")))
    assert kinds(payments) == ["RefundUnsettled"]
    watch(payments)
    payments.provider.settle_refund(payments.order)

    check(payments)

    assert kinds(payments) == ["RefundUnsettled", "PaymentRefunded"]


def test_a_pending_refund_that_fails_was_never_made(payments: Payments) -> None:
    refund(payments, payments.refund_request(pay(payments, "pm_card_pendingRefund")))
    watch(payments)
    payments.provider.settle_refund(payments.order, fails="lost_or_stolen_card")

    check(payments)

    (failed,) = (event for event in payments.events() if isinstance(event, RefundFailed))
    assert (failed.paid_out, failed.failure) == (False, "lost_or_stolen_card")
    assert "PaymentRefunded" not in kinds(payments)


def test_a_refund_that_stays_pending_is_a_dead_letter_after_the_last_check(payments: Payments) -> None:
    refund(payments, payments.refund_request(pay(payments, "pm_card_pendingRefund")))
    for _ in PAUSES:
        watch(payments)
        check(payments)

    (dead,) = payments.world.dead_letters()
    assert "still has the status pending" in dead.attributes["reason"]
    assert [event.checks for event in payments.events() if isinstance(event, RefundUnsettled)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("times", [1, 2])
def test_a_check_that_is_delivered_twice_reports_the_failure_once(payments: Payments, times: int) -> None:
    refund(payments, payments.refund_request(pay(payments, "pm_card_refundFail")))
    watch(payments)
    payments.provider.settle_refund(payments.order, fails="expired_or_canceled_card")

    for _ in range(times):
        check(payments)

    assert kinds(payments) == ["PaymentRefunded", "RefundFailed"]


def test_the_amount_of_a_failed_refund_can_be_refunded_at_the_provider_again(payments: Payments) -> None:
    payment = pay(payments, "pm_card_refundFail")
    refund(payments, payments.refund_request(payment))
    payments.provider.settle_refund(payments.order, fails="expired_or_canceled_card")

    refund(payments, payments.refund_request(payment, refund_id="R-2"))

    assert [made.status for made in payments.refunds()] == ["failed", "succeeded"]
    assert payments.provider.book().kept(payments.order) == {"eur": 0}

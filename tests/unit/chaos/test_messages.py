"""The checker finds e-mails and pages that are sent twice, missing, or not requested."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chaos.checker.messages import EMAILS, PAGES
from chaos.checker.snapshot import Email, Page
from tests.unit.chaos.snapshots import (
    ADDRESS,
    SnapshotBuilder,
    a_shop,
    a_ward,
    assert_violation_found,
    make_refund,
    page,
    send_email,
    violations,
)

ALARM = "MON-7:59408-5:3"


def confirmation(shop: SnapshotBuilder) -> Email:
    return next(email for email in shop.emails if email.subject.endswith("1001 is confirmed"))


def leave_in_doubt(shop: SnapshotBuilder, **account: str) -> None:
    """Make the outcome of 1001's confirmation unknown."""
    shop.remove(shop.the("EmailSent", email_id="1001.confirmed"))
    shop.status(shop.the("OrderConfirmed"), "mail-confirmed", **account)


def test_a_shop_with_each_e_mail_once_is_valid() -> None:
    assert violations(a_shop(), EMAILS) == []


def test_an_e_mail_may_be_in_german() -> None:
    shop = a_shop()
    email = confirmation(shop)
    shop.emails[shop.emails.index(email)] = replace(email, subject="Ihre Bestellung 1001 ist bestätigt")

    assert violations(shop, EMAILS) == []


def test_two_refunds_of_the_same_amount_may_have_equal_e_mails() -> None:
    shop = a_shop()
    for refund in ("R-1", "R-2"):
        make_refund(shop, "1001", refund, 500, "service_desk")

    assert violations(shop, EMAILS) == []


def test_a_refused_e_mail_is_not_in_the_mailbox() -> None:
    shop = a_shop()
    shop.emails.remove(confirmation(shop))
    shop.remove(shop.the("EmailSent", email_id="1001.confirmed"))
    shop.event("EmailRefused", "email/1001.confirmed", email_id="1001.confirmed", order_id="1001")

    assert violations(shop, EMAILS) == []


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("state", ["dead", "discarded"])
def test_an_e_mail_with_an_unknown_outcome_may_have_been_sent(state: str, sent: bool) -> None:
    shop = a_shop()
    leave_in_doubt(shop, state=state, error="OutcomeUnknown")
    if not sent:
        shop.emails.remove(confirmation(shop))

    assert violations(shop, EMAILS) == []


def test_an_e_mail_whose_process_died_after_the_call_may_have_been_sent() -> None:
    shop = a_shop()
    leave_in_doubt(shop, state="dead", error="ProcessDied")
    record = {"state": "open", "cause": shop.the("OrderConfirmed").id}
    shop.other_rows["effect#email/1001/confirmed", "mail-confirmed"] = record

    assert violations(shop, EMAILS) == []

    record["cause"] = "another"
    assert violations(shop, EMAILS) != []


def send_twice(shop: SnapshotBuilder) -> None:
    shop.emails.append(confirmation(shop))


def send_twice_in_doubt(shop: SnapshotBuilder) -> None:
    leave_in_doubt(shop, state="dead", error="OutcomeUnknown")
    shop.emails.append(confirmation(shop))


def send_twice_in_other_words(shop: SnapshotBuilder) -> None:
    shop.emails.append(replace(confirmation(shop), text="Dear Ada, once more"))


def send_one_of_two_refunds_twice(shop: SnapshotBuilder) -> None:
    for refund, cents in (("R-1", 500), ("R-2", 400)):
        make_refund(shop, "1001", refund, cents, "service_desk")
    shop.emails[-1] = shop.emails[-2]


def lose_the_email(shop: SnapshotBuilder) -> None:
    shop.emails.remove(confirmation(shop))


def send_without_a_result(shop: SnapshotBuilder) -> None:
    leave_in_doubt(shop, state="dead", error="NonRetryable")


def send_without_an_event(shop: SnapshotBuilder) -> None:
    leave_in_doubt(shop, state="committed")


def send_what_was_refused(shop: SnapshotBuilder) -> None:
    leave_in_doubt(shop, state="committed")
    shop.event("EmailRefused", "email/1001.confirmed", email_id="1001.confirmed", order_id="1001")


def send_what_nobody_asked_for(shop: SnapshotBuilder) -> None:
    send_email(shop, "1004", "confirmed", "Your order 1004 is confirmed")


def record_two_results(shop: SnapshotBuilder) -> None:
    shop.event("EmailSent", "email/1001.confirmed", email_id="1001.confirmed", order_id="1001")


def send_an_advertisement(shop: SnapshotBuilder) -> None:
    shop.emails.append(Email(to=(ADDRESS,), subject="Mugs for nothing", text="Dear Ada"))


def send_to_somebody_else(shop: SnapshotBuilder) -> None:
    email = confirmation(shop)
    shop.emails[shop.emails.index(email)] = replace(email, to=("bob@example.com",))


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (send_twice, "e-mail 1001 confirmed was sent 2 times; expected at most 1"),
        (send_twice, "the e-mail that order 1001 is confirmed was sent to one address more than once"),
        (send_twice_in_doubt, "e-mail 1001 confirmed was sent 2 times; expected at most 1"),
        (send_twice_in_other_words, "e-mail 1001 confirmed was sent 2 times; expected at most 1"),
        (
            send_one_of_two_refunds_twice,
            "the e-mail that order 1001 is refunded was sent to one address more than once",
        ),
        (lose_the_email, "e-mail 1001 confirmed was sent 0 times; expected at least 1"),
        (send_without_a_result, "e-mail 1001 confirmed was sent 1 times; expected at most 0"),
        (send_without_an_event, "event event-011 is committed, but there is no result of e-mail 1001.confirmed"),
        (send_what_was_refused, "e-mail 1001 confirmed was sent 1 times; expected at most 0"),
        (send_what_nobody_asked_for, "e-mail 1004 confirmed was sent 1 times; expected at most 0"),
        (send_what_nobody_asked_for, "there is a result of e-mail 1004.confirmed, which no event requested"),
        (record_two_results, "there is more than one result of e-mail 1001.confirmed"),
        (send_an_advertisement, "e-mail 6 of the mailbox has an unknown subject"),
        (send_to_somebody_else, "an e-mail that order 1001 is confirmed was not sent to its customer"),
    ],
)
def test_a_violation_is_found(break_it: Callable[[SnapshotBuilder], None], expected: str) -> None:
    assert_violation_found(a_shop(), break_it, EMAILS, expected)


def test_a_ward_with_one_page_for_each_level_is_valid() -> None:
    assert violations(a_ward(), PAGES) == []


def test_a_page_with_an_unknown_outcome_may_have_been_sent() -> None:
    ward = a_ward()
    ward.remove(ward.the("StaffPaged", level=2))
    ward.status(ward.the("EquipmentAlarmEscalated"), "page-escalation", "dead", error="OutcomeUnknown")

    assert violations(ward, PAGES) == []


def page_twice(ward: SnapshotBuilder) -> None:
    page(ward, ALARM, 1, recorded=False)


def lose_the_page(ward: SnapshotBuilder) -> None:
    del ward.pages[1]


def record_a_page_twice(ward: SnapshotBuilder) -> None:
    page(ward, ALARM, 2)


def page_at_a_level_that_is_not_reached(ward: SnapshotBuilder) -> None:
    page(ward, ALARM, 3)


def page_about_nothing(ward: SnapshotBuilder) -> None:
    ward.pages.append(Page(level=1, text="Hello"))


def page_at_two_levels_at_once(ward: SnapshotBuilder) -> None:
    ward.pages[0] = replace(ward.pages[0], level=2)


def page_without_an_event(ward: SnapshotBuilder) -> None:
    ward.remove(ward.the("StaffPaged", level=1))


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (page_twice, f"page {ALARM} 1 was sent 2 times; expected at most 1"),
        (lose_the_page, f"page {ALARM} 2 was sent 0 times; expected at least 1"),
        (record_a_page_twice, f"there is more than one StaffPaged for alarm {ALARM} at level 2"),
        (page_at_a_level_that_is_not_reached, f"page {ALARM} 3 was sent 1 times; expected at most 0"),
        (page_at_a_level_that_is_not_reached, f"there is StaffPaged for alarm {ALARM} at level 3"),
        (page_about_nothing, "page 3 has no alarm id, or different levels"),
        (page_at_two_levels_at_once, "page 1 has no alarm id, or different levels"),
        (page_without_an_event, f"event event-004 is committed, but there is no result of page {ALARM} at level 1"),
    ],
)
def test_a_violation_with_pages_is_found(break_it: Callable[[SnapshotBuilder], None], expected: str) -> None:
    assert_violation_found(a_ward(), break_it, PAGES, expected)

"""The checker sees it when a letter or a page is sent twice, is missing, or comes from nowhere."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chaos.checker.letters import LETTERS, PAGES
from chaos.checker.world import Mail, Page
from tests.unit.chaos.worlds import ADDRESS, Making, a_shop, a_ward, assert_found_out, breaches, page, pay_back, write

ALARM = "MON-7:59408-5:3"


def confirmation(shop: Making) -> Mail:
    return next(mail for mail in shop.mails if mail.subject.endswith("1001 is confirmed"))


def leave_in_doubt(shop: Making, **account: str) -> None:
    """Nobody knows whether 1001's confirmation was sent."""
    shop.forget(shop.the("EmailSent", letter_id="1001.confirmed"))
    shop.account(shop.the("OrderConfirmed"), "mail-confirmed", **account)


def test_a_shop_with_each_letter_once_breaks_nothing() -> None:
    assert breaches(a_shop(), LETTERS) == []


def test_a_customer_is_written_to_in_german_too() -> None:
    shop = a_shop()
    mail = confirmation(shop)
    shop.mails[shop.mails.index(mail)] = replace(mail, subject="Ihre Bestellung 1001 ist bestätigt")

    assert breaches(shop, LETTERS) == []


def test_two_refunds_of_the_same_amount_have_letters_that_are_alike() -> None:
    shop = a_shop()
    for refund in ("R-1", "R-2"):
        pay_back(shop, "1001", refund, 500, "service_desk")

    assert breaches(shop, LETTERS) == []


def test_a_letter_that_was_refused_is_not_there() -> None:
    shop = a_shop()
    shop.mails.remove(confirmation(shop))
    shop.forget(shop.the("EmailSent", letter_id="1001.confirmed"))
    shop.event("EmailRefused", "letter/1001.confirmed", letter_id="1001.confirmed", order_id="1001")

    assert breaches(shop, LETTERS) == []


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("state", ["dead", "discarded"])
def test_a_letter_whose_outcome_is_unknown_may_have_been_sent_and_a_person_is_told(state: str, sent: bool) -> None:
    shop = a_shop()
    leave_in_doubt(shop, state=state, error="OutcomeUnknown")
    if not sent:
        shop.mails.remove(confirmation(shop))

    assert breaches(shop, LETTERS) == []


def test_a_letter_whose_process_died_behind_the_call_may_have_been_sent() -> None:
    shop = a_shop()
    leave_in_doubt(shop, state="dead", error="ProcessDied")
    shop.others["attempt#letter/1001/confirmed", "mail-confirmed"] = {"state": "open"}

    assert breaches(shop, LETTERS) == []


def send_twice(shop: Making) -> None:
    shop.mails.append(confirmation(shop))


def send_twice_in_doubt(shop: Making) -> None:
    leave_in_doubt(shop, state="dead", error="OutcomeUnknown")
    shop.mails.append(confirmation(shop))


def send_twice_in_other_words(shop: Making) -> None:
    shop.mails.append(replace(confirmation(shop), text="Dear Ada, once more"))


def send_one_of_two_refunds_twice(shop: Making) -> None:
    for refund, cents in (("R-1", 500), ("R-2", 400)):
        pay_back(shop, "1001", refund, cents, "service_desk")
    shop.mails[-1] = shop.mails[-2]


def lose_the_letter(shop: Making) -> None:
    shop.mails.remove(confirmation(shop))


def send_in_secret(shop: Making) -> None:
    leave_in_doubt(shop, state="dead", error="Rejected")


def send_and_forget(shop: Making) -> None:
    leave_in_doubt(shop, state="committed")


def send_what_was_refused(shop: Making) -> None:
    leave_in_doubt(shop, state="committed")
    shop.event("EmailRefused", "letter/1001.confirmed", letter_id="1001.confirmed", order_id="1001")


def send_what_nobody_asked_for(shop: Making) -> None:
    write(shop, "1004", "confirmed", "Your order 1004 is confirmed")


def tell_twice(shop: Making) -> None:
    shop.event("EmailSent", "letter/1001.confirmed", letter_id="1001.confirmed", order_id="1001")


def send_an_advertisement(shop: Making) -> None:
    shop.mails.append(Mail(to=(ADDRESS,), subject="Mugs for nothing", text="Dear Ada"))


def send_to_somebody_else(shop: Making) -> None:
    mail = confirmation(shop)
    shop.mails[shop.mails.index(mail)] = replace(mail, to=("bob@example.com",))


@pytest.mark.parametrize(
    ("breaking", "says"),
    [
        (send_twice, "letter 1001 confirmed is there 2 times, and may be 1 times at the most"),
        (send_twice, "the mail that order 1001 is confirmed was sent to one address more than once"),
        (send_twice_in_doubt, "letter 1001 confirmed is there 2 times, and may be 1 times at the most"),
        (send_twice_in_other_words, "letter 1001 confirmed is there 2 times, and may be 1 times at the most"),
        (send_one_of_two_refunds_twice, "the mail that order 1001 is refunded was sent to one address more than once"),
        (lose_the_letter, "letter 1001 confirmed was sent 1 times by the events, and is there 0 times"),
        (send_in_secret, "letter 1001 confirmed is there 1 times, and may be 0 times at the most"),
        (send_and_forget, "event event-011 is committed, and what became of letter 1001.confirmed is not told"),
        (send_what_was_refused, "letter 1001 confirmed is there 1 times, and may be 0 times at the most"),
        (send_what_nobody_asked_for, "letter 1004 confirmed is there 1 times, and may be 0 times at the most"),
        (send_what_nobody_asked_for, "it is told what became of letter 1004.confirmed, which nobody has asked for"),
        (tell_twice, "it is told more than once what became of letter 1001.confirmed"),
        (send_an_advertisement, "mail 6 of the mailbox has none of the shop's subjects"),
        (send_to_somebody_else, "a mail that order 1001 is confirmed went to somebody else than its customer"),
    ],
)
def test_a_shop_that_breaks_the_promise_is_found_out(breaking: Callable[[Making], None], says: str) -> None:
    assert_found_out(a_shop(), breaking, LETTERS, says)


def test_a_ward_with_one_page_for_each_level_breaks_nothing() -> None:
    assert breaches(a_ward(), PAGES) == []


def test_a_page_whose_outcome_is_unknown_may_have_been_sent_and_a_person_is_told() -> None:
    ward = a_ward()
    ward.forget(ward.the("StaffPaged", level=2))
    ward.account(ward.the("EquipmentAlarmEscalated"), "page-escalation", "dead", error="OutcomeUnknown")

    assert breaches(ward, PAGES) == []


def page_twice(ward: Making) -> None:
    page(ward, ALARM, 1, told=False)


def lose_the_page(ward: Making) -> None:
    del ward.pages[1]


def tell_twice_of_a_page(ward: Making) -> None:
    page(ward, ALARM, 2)


def page_at_a_level_that_is_not_reached(ward: Making) -> None:
    page(ward, ALARM, 3)


def page_about_nothing(ward: Making) -> None:
    ward.pages.append(Page(level=1, text="Hello"))


def page_at_two_levels_at_once(ward: Making) -> None:
    ward.pages[0] = replace(ward.pages[0], level=2)


def page_and_forget(ward: Making) -> None:
    ward.forget(ward.the("StaffPaged", level=1))


@pytest.mark.parametrize(
    ("breaking", "says"),
    [
        (page_twice, f"page {ALARM} 1 is there 2 times, and may be 1 times at the most"),
        (lose_the_page, f"page {ALARM} 2 was sent 1 times by the events, and is there 0 times"),
        (tell_twice_of_a_page, f"it is told more than once that somebody was paged about alarm {ALARM} at level 2"),
        (page_at_a_level_that_is_not_reached, f"page {ALARM} 3 is there 1 times, and may be 0 times at the most"),
        (page_at_a_level_that_is_not_reached, f"it is told that somebody was paged about alarm {ALARM} at level 3"),
        (page_about_nothing, "page 3 names no alarm, or another level"),
        (page_at_two_levels_at_once, "page 1 names no alarm, or another level"),
        (page_and_forget, f"event event-004 is committed, and what became of page {ALARM} at level 1 is not told"),
    ],
)
def test_a_ward_that_breaks_the_promise_is_found_out(breaking: Callable[[Making], None], says: str) -> None:
    assert_found_out(a_ward(), breaking, PAGES, says)

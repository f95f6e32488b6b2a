"""The content of e-mails: language, format of amounts, and escaping."""

import re
from collections.abc import Callable
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from babel.numbers import parse_decimal
from hypothesis import example, given
from hypothesis import strategies as st

from daybook.contracts.values import MINOR_UNIT_DIGITS
from events.orders import OrderLine, OrderPlaced
from functions.notifications import mail_cancelled, mail_confirmed, mail_fulfilled, mail_refund_failed, mail_refunded
from functions.notifications.email import Content, Language, compose, format_money, language_of
from tests.unit.shop.builders import (
    a_cancellation,
    a_confirmation,
    a_customer,
    a_failed_refund,
    a_fulfilment,
    a_refund,
    an_order,
    money,
    order_data,
)

SPACE = "\u00a0"  # prevents a line break between an amount and its currency
ORDER = an_order(lines=[("mug", 2), ("large-poster", 1000)])
LINES = ORDER.lines

# The content of every e-mail, by language.
EMAILS: dict[str, Callable[[Language], Content]] = {
    "confirmed": lambda language: mail_confirmed.content(language, "1001"),
    "out of stock": lambda language: mail_cancelled.content(language, a_cancellation(missing=("mug", "poster"))),
    "payment failed": lambda language: mail_cancelled.content(language, a_cancellation(reason="payment_failed")),
    "not paid": lambda language: mail_cancelled.content(language, a_cancellation(reason="not_paid_in_time")),
    "fulfilled": lambda language: mail_fulfilled.content(language, a_fulfilment()),
    "refunded": lambda language: mail_refunded.content(language, a_refund()),
    "refund failed": lambda language: mail_refund_failed.content(language, a_failed_refund()),
    "late payment": lambda language: mail_refunded.content(language, a_refund(reason="paid_after_cancellation")),
}
every_email = pytest.mark.parametrize("content", EMAILS.values(), ids=EMAILS)


class _VisibleText(HTMLParser):
    """The text that a page shows."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


def shown(html: str) -> str:
    page = _VisibleText()
    page.feed(html)
    return " ".join(" ".join(page.shown).split())


@pytest.mark.parametrize(
    ("language", "amounts"),
    [
        ("de-AT", ["€ 44,00", "¥ 4.400", "KWD 4,400", "$ 44,00"]),
        ("de-DE", ["44,00 €", "4.400 ¥", "4,400 KWD", "44,00 $"]),
        ("en-GB", ["€44.00", "JP¥4,400", "KWD4.400", "US$44.00"]),
        ("en-US", ["€44.00", "¥4,400", "KWD4.400", "$44.00"]),
        ("de-Latn-AT-1996-u-co-phonebk", ["€ 44,00", "¥ 4.400", "KWD 4,400", "$ 44,00"]),
        ("en-US-u-mu-celsius", ["€44.00", "¥4,400", "KWD4.400", "$44.00"]),
        ("EN_gb", ["€44.00", "JP¥4,400", "KWD4.400", "US$44.00"]),
        ("fr-FR", ["€44.00", "¥4,400", "KWD4.400", "$44.00"]),
    ],
)
def test_amounts_have_the_format_of_the_customers_country(language: str, amounts: list[str]) -> None:
    customer = a_customer(language)

    formatted = [format_money(money(4400, currency), customer) for currency in ("EUR", "JPY", "KWD", "USD")]

    assert [amount.replace(SPACE, " ") for amount in formatted] == amounts


@given(amount=st.integers(0, 10**12), currency=st.sampled_from(sorted(MINOR_UNIT_DIGITS)))
@pytest.mark.parametrize(("language", "locale"), [("en-GB", "en_GB"), ("de-DE", "de_DE")])
def test_no_amount_is_rounded(language: str, locale: str, amount: int, currency: str) -> None:
    amount_text = format_money(money(amount, currency), a_customer(language))

    (number,) = re.findall(r"\d[\d.,]*", amount_text)
    assert parse_decimal(number, locale=locale) == Decimal(amount).scaleb(-MINOR_UNIT_DIGITS[currency])


@given(language=st.from_regex(r"\A[A-Za-z0-9]{1,8}([_-][A-Za-z0-9]{1,8}){0,3}\Z"))
@example(language="de-XX")  # an unknown country
@example(language="de-a1")  # not a language tag
def test_there_is_an_email_for_every_language(language: str) -> None:
    customer = a_customer(language)

    email = compose(customer, mail_confirmed.content(language_of(customer), "1001"), LINES)

    assert email.subject.startswith("Ihre Bestellung" if language_of(customer) == "de" else "Your order")


@pytest.mark.parametrize(
    ("language", "written_in"),
    [
        ("en", "en"),
        ("en-GB", "en"),
        ("de", "de"),
        ("de-AT", "de"),
        ("fr", "en"),
        ("den", "en"),
        ("zh-Hant-TW", "en"),
        ("en-US-u-mu-celsius", "en"),
        ("DE-at", "de"),
        ("de_AT", "de"),
        ("de-x-formal", "de"),
        ("deu", "de"),
        ("ger-DE", "de"),
        ("x-klingon", "en"),
        ("i-klingon", "en"),
        ("sl-rozaj-biske-1994", "en"),
        ("de-CH-1996", "de"),
        ("eng", "en"),
    ],
)
def test_emails_are_in_german_or_in_english(language: str, written_in: str) -> None:
    assert language_of(a_customer(language)) == written_in


def test_an_email_in_english() -> None:
    email = compose(a_customer("en-GB"), mail_confirmed.content("en", "1001"), LINES)

    assert (email.to, email.subject) == ("ada@example.com", "Your order 1001 is confirmed")
    assert email.text == (
        "Dear Ada Lovelace,\n\n"
        "Thank you for your order 1001. It is paid, and we are packing it now.\n\n"
        "  2 x mug                   €25.00\n"
        "  1,000 x large-poster  €12,500.00\n"
        "  --------------------------------\n"
        "  Total                 €12,525.00\n\n"
        "We will write again as soon as it is on its way.\n\n"
        "Kind regards\nYour shop\n"
    )


def test_an_email_in_german() -> None:
    email = compose(a_customer("de-DE"), mail_cancelled.content("de", a_cancellation(missing=("mug",))), LINES)

    assert email.subject == "Ihre Bestellung 1001 ist storniert"
    assert email.text.replace(SPACE, " ") == (
        "Guten Tag Ada Lovelace,\n\n"
        "leider haben wir nicht mehr genug von mug und mussten Ihre Bestellung 1001 stornieren. "
        "Es wurde nichts abgebucht.\n\n"
        "Es geht um diese Bestellung:\n\n"
        "  2 x mug                   25,00 €\n"
        "  1.000 x large-poster  12.500,00 €\n"
        "  ---------------------------------\n"
        "  Summe                 12.525,00 €\n\n"
        "Wir würden uns freuen, wenn Sie es noch einmal versuchen.\n\n"
        "Mit freundlichen Grüßen\nIhr Shop\n"
    )


@every_email
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_placeholder_is_replaced(content: Callable[[Language], Content], language: Language) -> None:
    email = compose(a_customer(language), content(language), LINES)

    for text in (email.subject, email.text, shown(email.html)):
        assert not re.search(r"[{}%$]|None|\(\)|  \.", text)
        assert "1001" in email.subject


@every_email
@pytest.mark.parametrize("language", ["en", "de"])
def test_html_and_text_have_the_same_content(content: Callable[[Language], Content], language: Language) -> None:
    email = compose(a_customer(language), content(language), LINES)

    text = re.sub(r"-{3,}", "", email.text)
    assert shown(email.html) == " ".join(f"{email.subject} {text}".split())
    assert f'<html lang="{language}">' in email.html


NAMES = ["<script>alert(1)</script>", "A & B", '"Ada" <ada@example.com>', "O'Neil", "{name}", "{0}", "%s"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_not_interpreted_as_markup_or_format(name: str) -> None:
    email = compose(a_customer(name=name), mail_confirmed.content("en", "1001"), LINES)

    assert f"Dear {name}," in email.text
    assert f"Dear {name}," in shown(email.html)
    assert "<script>" not in email.html


def test_a_name_cannot_look_like_a_paragraph() -> None:
    email = compose(
        a_customer(name="Ada,\u2029\u2029please pay again  \u2028at evil.example"), Content("Hello", ["Text."])
    )

    assert email.text.split("\n\n")[0] == "Dear Ada, please pay again at evil.example,"


def test_no_value_of_an_event_can_look_like_a_paragraph() -> None:
    order = a_fulfilment().model_copy(update={"carrier": "Post\u2029\u2029Please pay again.\n\nPost"})

    email = compose(a_customer(), mail_fulfilled.content("en", order))

    assert "We have handed your shipment to Post Please pay again. Post." in email.text.split("\n\n")


def test_the_name_of_the_carrier_is_escaped() -> None:
    order = a_fulfilment().model_copy(update={"carrier": "<b>Post</b>"})

    email = compose(a_customer(), mail_fulfilled.content("en", order))

    assert "&lt;b&gt;Post&lt;/b&gt;" in email.html
    assert "<b>" not in email.html


@pytest.mark.parametrize("language", ["en-GB", "en-US", "de-AT", "de-CH", "fr"])
def test_amounts_are_aligned(language: str) -> None:
    email = compose(a_customer(language), Content("Hello", []), an_order(lines=[("a" * 64, 1), ("b", 999_999)]).lines)

    rows = [line for line in email.text.splitlines() if line.startswith("  ")]
    assert len(rows) == 4
    assert len({len(row) for row in rows}) == 1
    assert set(rows[-2].strip()) == {"-"}


def test_an_email_without_order_lines_has_no_table() -> None:
    email = compose(a_customer(), mail_refunded.content("en", a_refund(500)))

    assert "We have refunded €5.00." in email.text
    assert "Total" not in email.text
    assert "<table" not in email.html


def test_a_refund_has_the_format_of_the_customers_country() -> None:
    refund = a_refund(500, customer=a_customer("de-AT"))

    paragraphs = mail_refunded.content("de", refund).before

    assert f"Wir haben Ihnen €{SPACE}5,00 zurückgezahlt." in " ".join(paragraphs)


def test_the_email_of_a_confirmed_order_has_its_order_lines() -> None:
    purchase = a_confirmation(ORDER).purchase

    email = compose(purchase.customer, mail_confirmed.content("en", "1001"), purchase.lines)

    assert "2 x mug" in email.text


def lines_of(*lines: dict[str, Any]) -> tuple[OrderLine, ...]:
    """An order with these lines, each with an amount in EUR."""
    given = [{**line, "price": {"amount": line["price"], "currency": "EUR"}} for line in lines]
    return OrderPlaced.model_validate({**order_data(), "lines": given}).lines


SHOP_LINES = lines_of(
    {"sku": "mug", "name": "Blue mug", "quantity": 2, "price": 1250},
    {"kind": "shipping", "name": "Standard", "price": 490},
    {"kind": "fee", "name": "Gift wrap", "price": 200},
    {"kind": "discount", "price": -500},
    {"kind": "tax", "name": "City tax", "price": 100},
    {"kind": "tax", "name": "20% VAT", "price": 445, "included": True},
)


def test_an_email_shows_names_shipping_fees_discounts_and_taxes() -> None:
    email = compose(a_customer("en-GB"), mail_confirmed.content("en", "#1001"), SHOP_LINES)

    assert email.subject == "Your order #1001 is confirmed"
    assert (
        "  2 x Blue mug (mug)  €25.00\n"
        "  Standard             €4.90\n"
        "  Gift wrap            €2.00\n"
        "  Discount            -€5.00\n"
        "  City tax             €1.00\n"
        "  --------------------------\n"
        "  Total               €27.90\n"
        "  20% VAT included     €4.45\n"
    ) in email.text
    assert "Discount -€5.00 City tax €1.00 Total €27.90 20% VAT included €4.45" in shown(email.html)


def test_a_line_without_a_name_has_the_name_of_its_kind_in_the_customers_language() -> None:
    lines = lines_of(
        {"sku": "mug", "quantity": 1, "price": 1250},
        *({"kind": kind, "price": 0} for kind in ("shipping", "fee", "discount", "tax")),
    )

    email = compose(a_customer("de-DE"), mail_confirmed.content("de", "1001"), lines)

    for name in ("1 x mug", "Versand", "Gebühr", "Rabatt", "Steuer"):
        assert f"  {name} " in email.text


def test_an_article_that_is_out_of_stock_has_its_name_in_the_email() -> None:
    data = order_data()
    order = OrderPlaced.model_validate(data | {"lines": [{**data["lines"][0], "name": "Blue mug"}]})

    content = mail_cancelled.content("en", a_cancellation(order, missing=("mug",)))

    assert "we no longer have enough of Blue mug (mug)" in content.before[0]


def test_the_name_of_an_article_cannot_look_like_a_row_or_markup() -> None:
    lines = lines_of({"sku": "mug", "name": "Mug\u2028  Total  <b>0</b>", "quantity": 1, "price": 1250})

    email = compose(a_customer(), mail_confirmed.content("en", "1001"), lines)

    assert "1 x Mug Total <b>0</b> (mug)" in email.text
    assert "<b>0" not in email.html

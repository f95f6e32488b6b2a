"""Letters as customers read them: in their language, with their amounts, and nothing that is not meant for them."""

import re
from collections.abc import Callable
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from babel.numbers import parse_decimal
from hypothesis import example, given
from hypothesis import strategies as st

from daybook.contracts.values import MINOR_UNIT_DIGITS
from functions.notifications import mail_cancelled, mail_confirmed, mail_fulfilled, mail_refunded
from functions.notifications.letter import Language, Words, language_of, letter, written
from tests.unit.builders import (
    a_cancellation,
    a_confirmation,
    a_customer,
    a_fulfilment,
    a_refund_made,
    an_order,
    money,
)

SPACE = "\u00a0"  # no line is broken between an amount and its currency
ORDER = an_order(lines=[("mug", 2), ("large-poster", 1000)])
LINES = ORDER.lines

# Every letter that there is: its words, by language.
LETTERS: dict[str, Callable[[Language], Words]] = {
    "confirmed": lambda language: mail_confirmed.words(language, "1001"),
    "out of stock": lambda language: mail_cancelled.words(language, a_cancellation(missing=("mug", "poster"))),
    "payment failed": lambda language: mail_cancelled.words(language, a_cancellation(because="payment_failed")),
    "not paid": lambda language: mail_cancelled.words(language, a_cancellation(because="not_paid_in_time")),
    "fulfilled": lambda language: mail_fulfilled.words(language, a_fulfilment()),
    "refunded": lambda language: mail_refunded.words(language, a_refund_made()),
    "paid back": lambda language: mail_refunded.words(language, a_refund_made(because="paid_after_cancellation")),
}
every_letter = pytest.mark.parametrize("words", LETTERS.values(), ids=LETTERS)


class _Text(HTMLParser):
    """What a page shows."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


def shown(html: str) -> str:
    page = _Text()
    page.feed(html)
    return " ".join(" ".join(page.shown).split())


@pytest.mark.parametrize(
    ("language", "amounts"),
    [
        ("de-AT", ["€ 44,00", "¥ 4.400", "KWD 4,400", "$ 44,00"]),
        ("de-DE", ["44,00 €", "4.400 ¥", "4,400 KWD", "44,00 $"]),
        ("en-GB", ["€44.00", "JP¥4,400", "KWD4.400", "US$44.00"]),
        ("en-US", ["€44.00", "¥4,400", "KWD4.400", "$44.00"]),
        ("fr-FR", ["€44.00", "¥4,400", "KWD4.400", "$44.00"]),
    ],
)
def test_amounts_are_written_as_the_customers_country_writes_them(language: str, amounts: list[str]) -> None:
    customer = a_customer(language)

    told = [written(money(4400, currency), customer) for currency in ("EUR", "JPY", "KWD", "USD")]

    assert [amount.replace(SPACE, " ") for amount in told] == amounts


@given(amount=st.integers(0, 10**12), currency=st.sampled_from(sorted(MINOR_UNIT_DIGITS)))
@pytest.mark.parametrize(("language", "locale"), [("en-GB", "en_GB"), ("de-DE", "de_DE")])
def test_no_amount_is_rounded(language: str, locale: str, amount: int, currency: str) -> None:
    told = written(money(amount, currency), a_customer(language))

    (number,) = re.findall(r"\d[\d.,]*", told)
    assert parse_decimal(number, locale=locale) == Decimal(amount).scaleb(-MINOR_UNIT_DIGITS[currency])


@given(language=st.from_regex(r"\A[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\Z"))
@example(language="de-XX")  # a country that nobody knows
@example(language="de-a1")  # no tag at all
def test_whatever_the_customers_language_there_is_a_letter(language: str) -> None:
    customer = a_customer(language)

    made = letter(customer, mail_confirmed.words(language_of(customer), "1001"), LINES)

    assert made.subject.startswith("Ihre Bestellung" if language.split("-", maxsplit=1)[0] == "de" else "Your order")


@pytest.mark.parametrize(
    ("language", "written_in"),
    [("en", "en"), ("en-GB", "en"), ("de", "de"), ("de-AT", "de"), ("fr", "en"), ("den", "en"), ("zh-Hant-TW", "en")],
)
def test_customers_are_written_to_in_german_or_in_english(language: str, written_in: str) -> None:
    assert language_of(a_customer(language)) == written_in


def test_a_letter_in_english() -> None:
    made = letter(a_customer("en-GB"), mail_confirmed.words("en", "1001"), LINES)

    assert (made.to, made.subject) == ("ada@example.com", "Your order 1001 is confirmed")
    assert made.text == (
        "Dear Ada Lovelace,\n\n"
        "Thank you for your order 1001. It is paid, and we are packing it now.\n\n"
        "  2 x mug                   €25.00\n"
        "  1,000 x large-poster  €12,500.00\n"
        "  --------------------------------\n"
        "  Total                 €12,525.00\n\n"
        "We will write again as soon as it is on its way.\n\n"
        "Kind regards\nYour shop\n"
    )


def test_a_letter_in_german() -> None:
    made = letter(a_customer("de-DE"), mail_cancelled.words("de", a_cancellation(missing=("mug",))), LINES)

    assert made.subject == "Ihre Bestellung 1001 ist storniert"
    assert made.text.replace(SPACE, " ") == (
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


@every_letter
@pytest.mark.parametrize("language", ["en", "de"])
def test_no_letter_holds_a_place_that_was_not_filled(words: Callable[[Language], Words], language: Language) -> None:
    made = letter(a_customer(language), words(language), LINES)

    for text in (made.subject, made.text, shown(made.html)):
        assert not re.search(r"[{}%$]|None|\(\)|  \.", text)
        assert "1001" in made.subject


@every_letter
@pytest.mark.parametrize("language", ["en", "de"])
def test_page_and_text_say_the_same(words: Callable[[Language], Words], language: Language) -> None:
    made = letter(a_customer(language), words(language), LINES)

    told = re.sub(r"-{3,}", "", made.text)
    assert shown(made.html) == " ".join(f"{made.subject} {told}".split())
    assert f'<html lang="{language}">' in made.html


NAMES = ["<script>alert(1)</script>", "A & B", '"Ada" <ada@example.com>', "O'Neil", "{name}", "{0}", "%s"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_only_ever_a_name(name: str) -> None:
    made = letter(a_customer(name=name), mail_confirmed.words("en", "1001"), LINES)

    assert f"Dear {name}," in made.text
    assert f"Dear {name}," in shown(made.html)
    assert "<script>" not in made.html


def test_a_name_does_not_pass_for_a_paragraph_of_the_shops() -> None:
    made = letter(a_customer(name="Ada,\n\nplease pay again\r\n\u2028at evil.example"), Words("Hello", ["Text."]))

    assert made.text.split("\n\n")[0] == "Dear Ada, please pay again at evil.example,"


def test_the_carriers_name_is_only_a_name_too() -> None:
    parcel = a_fulfilment().model_copy(update={"carrier": "<b>Post</b>"})

    made = letter(a_customer(), mail_fulfilled.words("en", parcel))

    assert "&lt;b&gt;Post&lt;/b&gt;" in made.html
    assert "<b>" not in made.html


@pytest.mark.parametrize("language", ["en-GB", "en-US", "de-AT", "de-CH", "fr"])
def test_amounts_stand_one_below_the_other(language: str) -> None:
    made = letter(a_customer(language), Words("Hello", []), an_order(lines=[("a" * 64, 1), ("b", 999_999)]).lines)

    rows = [line for line in made.text.splitlines() if line.startswith("  ")]
    assert len(rows) == 4
    assert len({len(row) for row in rows}) == 1
    assert set(rows[-2].strip()) == {"-"}


def test_a_letter_about_no_lines_has_no_table() -> None:
    made = letter(a_customer(), mail_refunded.words("en", a_refund_made(money(500))))

    assert "We have paid back €5.00." in made.text
    assert "Total" not in made.text
    assert "<table" not in made.html


def test_a_refund_is_written_as_its_customer_writes_amounts() -> None:
    refund = a_refund_made(money(500), customer=a_customer("de-AT"))

    said = mail_refunded.words("de", refund).before

    assert f"Wir haben Ihnen €{SPACE}5,00 zurückgezahlt." in " ".join(said)


def test_a_letter_of_a_confirmed_order_is_about_its_own_lines() -> None:
    bought = a_confirmation(ORDER).purchase

    made = letter(bought.customer, mail_confirmed.words("en", "1001"), bought.lines)

    assert "2 x mug" in made.text

"""Letters as customers read them: plain text, and the same as simple HTML, in the customer's language.

There are texts in English and in German; all other customers get English. Amounts are written as the customer's own
country writes them, if its language is one of these.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Literal

from babel.core import Locale, UnknownLocaleError
from babel.numbers import format_currency, format_decimal

from daybook.contracts.values import MINOR_UNIT_DIGITS, Money
from events.orders import OrderLine, total
from events.values import Customer

Language = Literal["en", "de"]


@dataclass(frozen=True, slots=True)
class Words:
    """What a letter says in one language: its subject, and the paragraphs before and behind the order's lines."""

    subject: str
    before: Sequence[str]
    after: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent, and to whom."""

    to: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class _Frame:
    """What stands in every letter of a language."""

    greeting: str
    total: str
    closing: Sequence[str]


_FRAMES: dict[Language, _Frame] = {
    "en": _Frame("Dear {name},", "Total", ("Kind regards", "Your shop")),
    "de": _Frame("Guten Tag {name},", "Summe", ("Mit freundlichen Grüßen", "Ihr Shop")),
}


def language_of(customer: Customer) -> Language:
    """The language in which this customer is written to."""
    return "de" if customer.language.partition("-")[0] == "de" else "en"


def written(money: Money, customer: Customer) -> str:
    """An amount as the customer writes it: €44.00, 44,00 €, ¥4,400. Nothing is rounded."""
    value = Decimal(money.amount).scaleb(-MINOR_UNIT_DIGITS[money.currency])
    return str(format_currency(value, money.currency, locale=_locale(customer), decimal_quantization=False))


def letter(customer: Customer, words: Words, lines: Iterable[OrderLine] = ()) -> Letter:
    """The letter to a customer, with an order's lines and their total, if it is about these."""
    frame = _FRAMES[language_of(customer)]
    # On one line: a name must not pass for a paragraph of the shop's.
    greeting = frame.greeting.format(name=" ".join(customer.name.split()))
    rows = _rows(customer, tuple(lines), frame)
    return Letter(
        to=customer.email,
        subject=words.subject,
        text=_as_text(greeting, words, rows, frame),
        html=_as_html(greeting, words, rows, frame, language_of(customer)),
    )


def _locale(customer: Customer) -> Locale:
    language = language_of(customer)
    if not customer.language.startswith(language):
        return Locale(language)
    try:
        return Locale.parse(customer.language, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale(language)


def _rows(customer: Customer, lines: Sequence[OrderLine], frame: _Frame) -> list[tuple[str, str]]:
    """What was ordered, and what it costs; the last row is the total."""
    if not lines:
        return []
    locale = _locale(customer)
    rows = [
        (f"{format_decimal(line.quantity, locale=locale)} x {line.sku}", written(line.total, customer))
        for line in lines
    ]
    return [*rows, (frame.total, written(total(lines), customer))]


def _as_text(greeting: str, words: Words, rows: Sequence[tuple[str, str]], frame: _Frame) -> str:
    what, cost = (max((len(row[column]) for row in rows), default=0) for column in (0, 1))
    table = [f"  {left:{what}}  {right:>{cost}}" for left, right in rows]
    if table:
        table.insert(-1, f"  {'-' * (what + 2 + cost)}")
    blocks = [greeting, *words.before, *(["\n".join(table)] if table else []), *words.after, "\n".join(frame.closing)]
    return "\n\n".join(blocks) + "\n"


def _as_html(greeting: str, words: Words, rows: Sequence[tuple[str, str]], frame: _Frame, language: Language) -> str:
    def paragraphs(texts: Iterable[str]) -> str:
        return "".join(f"<p>{escape(text)}</p>\n" for text in texts)

    table = ""
    if rows:
        *lines, last = (f'<td>{escape(left)}</td><td align="right">{escape(right)}</td>' for left, right in rows)
        body = "".join(f"<tr>{line}</tr>\n" for line in lines)
        table = f'<table cellpadding="4">\n{body}<tr style="font-weight: bold">{last}</tr>\n</table>\n'
    closing = "<br>".join(escape(line) for line in frame.closing)
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head><meta charset="utf-8"><title>{escape(words.subject)}</title>'
        f"</head>\n<body>\n{paragraphs([greeting, *words.before])}{table}{paragraphs(words.after)}"
        f"<p>{closing}</p>\n</body>\n</html>\n"
    )

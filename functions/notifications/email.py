"""E-mails in the customer's language, as plain text and as simple HTML with the same content.

There are texts in English and in German. Customers with another language get English. Amounts have the format of the
customer's country, if its language is English or German.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Literal

from babel.core import Locale, UnknownLocaleError
from babel.numbers import format_currency, format_decimal

from daybook.contracts.values import MINOR_UNIT_DIGITS, SignedMoney
from events.orders import ArticleLine, OrderLine, total
from events.values import Customer

Language = Literal["en", "de"]


@dataclass(frozen=True, slots=True)
class Content:
    """The content of an e-mail in one language: its subject, and the paragraphs before and after the order lines."""

    subject: str
    before: Sequence[str]
    after: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Email:
    """An e-mail that is ready to be sent, and the address of its recipient."""

    to: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class _Template:
    """The texts that all e-mails in one language contain."""

    greeting: str
    total: str
    included: str
    kinds: Mapping[str, str]  # the names of lines that have none of their own
    closing: Sequence[str]


# White space without the no-break spaces, which stand between an amount and its currency.
_SPACES = re.compile(r"[^\S\u00a0\u202f]+")

# The codes of these languages in ISO 639-1, 639-2/T and 639-2/B.
_LANGUAGES: dict[str, Language] = {"en": "en", "eng": "en", "de": "de", "deu": "de", "ger": "de"}

_TEMPLATES: dict[Language, _Template] = {
    "en": _Template(
        "Dear {name},",
        "Total",
        "{name} included",
        {"shipping": "Shipping", "fee": "Fee", "discount": "Discount", "tax": "Tax"},
        ("Kind regards", "Your shop"),
    ),
    "de": _Template(
        "Guten Tag {name},",
        "Summe",
        "darin enthalten: {name}",
        {"shipping": "Versand", "fee": "Gebühr", "discount": "Rabatt", "tax": "Steuer"},
        ("Mit freundlichen Grüßen", "Ihr Shop"),
    ),
}


def language_of(customer: Customer) -> Language:
    """The language of e-mails to this customer."""
    return _LANGUAGES.get(_subtags(customer)[0], "en")


def format_money(money: SignedMoney, customer: Customer) -> str:
    """An amount in the format of the customer's country: €44.00, 44,00 €, ¥4,400. Nothing is rounded."""
    value = Decimal(money.amount).scaleb(-MINOR_UNIT_DIGITS[money.currency])
    return str(format_currency(value, money.currency, locale=_locale(customer), decimal_quantization=False))


def compose(customer: Customer, content: Content, lines: Iterable[OrderLine] = ()) -> Email:
    """The e-mail to a customer, with a table of the order lines and their total, if there are any.

    The subject and each paragraph are put on one line, so that no value in them can look like another paragraph.
    """
    template = _TEMPLATES[language_of(customer)]
    greeting = template.greeting.format(name=customer.name)
    content = Content(
        _one_line(content.subject),
        [*map(_one_line, (greeting, *content.before))],
        [*map(_one_line, content.after)],
    )
    rows = _rows(customer, tuple(lines), template)
    return Email(
        to=customer.email,
        subject=content.subject,
        text=_as_text(content, rows, template),
        html=_as_html(content, rows, template, language_of(customer)),
    )


def _subtags(customer: Customer) -> list[str]:
    """The subtags of the language tag before extensions and private use, which a single character begins (RFC 5646)."""
    subtags = re.split("[-_]", customer.language.lower())
    end = next((number for number, subtag in enumerate(subtags) if len(subtag) == 1), len(subtags))
    return subtags[:end] or subtags


def _locale(customer: Customer) -> Locale:
    """The customer's language and region, if babel has it and e-mails are in this language; else the language."""
    language, (first, *others) = language_of(customer), _subtags(customer)
    region = next((subtag.upper() for subtag in others if re.fullmatch("[a-z]{2}|[0-9]{3}", subtag)), None)
    try:
        return Locale(language, territory=region if first in _LANGUAGES else None)
    except UnknownLocaleError:
        return Locale(language)


def article_name(line: ArticleLine) -> str:
    """The article as the customer knows it: its name, and its SKU, which tells articles of the same name apart."""
    return f"{_one_line(line.name)} ({line.sku})" if line.name.strip() else line.sku


def _one_line(text: str) -> str:
    """The text on one line, so that it cannot look like another paragraph or row of the e-mail."""
    return _SPACES.sub(" ", text).strip()


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of the table, each with a text and an amount: what adds up to the total, and what the total includes."""

    lines: Sequence[tuple[str, str]]
    total: tuple[str, str]
    included: Sequence[tuple[str, str]]


def _rows(customer: Customer, lines: Sequence[OrderLine], template: _Template) -> _Rows | None:
    """The rows for the order lines; None without any."""
    if not lines:
        return None
    added, included = [], []
    for line in lines:
        cost = format_money(SignedMoney(amount=line.cost, currency=line.price.currency), customer)
        if isinstance(line, ArticleLine):
            pieces = format_decimal(line.quantity, locale=_locale(customer))
            added.append((f"{pieces} x {article_name(line)}", cost))
            continue
        name = _one_line(line.name) or template.kinds[line.kind]
        if line.kind == "tax" and line.included:
            included.append((template.included.format(name=name), format_money(line.price, customer)))
        else:
            added.append((name, cost))
    return _Rows(added, (template.total, format_money(total(lines), customer)), included)


def _as_text(content: Content, rows: _Rows | None, template: _Template) -> str:
    paragraphs = [*content.before, *_text_table(rows), *content.after, "\n".join(template.closing)]
    return "\n\n".join(paragraphs) + "\n"


def _text_table(rows: _Rows | None) -> list[str]:
    if rows is None:
        return []
    everything = [*rows.lines, rows.total, *rows.included]
    article, cost = (max(len(row[column]) for row in everything) for column in (0, 1))
    table = [f"  {left:{article}}  {right:>{cost}}" for left, right in everything]
    table.insert(len(rows.lines), f"  {'-' * (article + 2 + cost)}")
    return ["\n".join(table)]


def _as_html(content: Content, rows: _Rows | None, template: _Template, language: Language) -> str:
    def paragraphs(texts: Iterable[str]) -> str:
        return "".join(f"<p>{escape(text)}</p>\n" for text in texts)

    closing = "<br>".join(escape(line) for line in template.closing)
    title = f"<title>{escape(content.subject)}</title>"
    body = f"{paragraphs(content.before)}{_html_table(rows)}{paragraphs(content.after)}<p>{closing}</p>"
    head = f'<!doctype html>\n<html lang="{language}">\n<head><meta charset="utf-8">{title}</head>'
    return f"{head}\n<body>\n{body}\n</body>\n</html>\n"


def _html_table(rows: _Rows | None) -> str:
    if rows is None:
        return ""

    def row(cells: tuple[str, str], style: str = "") -> str:
        left, right = map(escape, cells)
        return f'<tr{style}><td>{left}</td><td align="right">{right}</td></tr>\n'

    total_row = row(rows.total, ' style="font-weight: bold"')
    table = "".join([*map(row, rows.lines), total_row, *map(row, rows.included)])
    return f'<table cellpadding="4">\n{table}</table>\n'

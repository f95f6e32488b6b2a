"""`daybook help glossary`: every term, found by its own word, by the field's, and by one that is not used."""

import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.operate.glossary import Term, terms
from daybook.operate.program import app


def glossary(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["help", "glossary", *arguments], prog_name="daybook")


def test_it_prints_every_term_in_alphabetical_order() -> None:
    printed = [line for line in glossary().stdout.splitlines() if not line.startswith(" ")]

    assert printed == sorted((term.term for term in terms()), key=str.casefold)


@pytest.mark.parametrize(
    ("typed", "term"),
    [
        ("cursor", "cursor"),
        ("Dead Letter", "dead letter"),
        ("projection", "view"),
        ("inbox table", "ledger"),
        ("nudge", "wake-up message"),
    ],
)
def test_a_term_is_found_by_its_names(typed: str, term: str) -> None:
    result = glossary(*typed.split())

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == term


def test_a_word_that_two_terms_replace_finds_both() -> None:
    printed = [line for line in glossary("letter").stdout.splitlines() if not line.startswith(" ")]

    assert printed == ["dead letter", "e-mail"]


def test_a_term_is_printed_with_all_that_is_known_of_it() -> None:
    assert glossary("wake-up", "message").stdout.splitlines() == [
        "wake-up message",
        "  A message that only makes an ordered consumer read its stream. Its content is not used.",
        "  standard: notification, poke",
        "  used: messages in the queue of an ordered consumer",
        "  do not say: nudge, nudged, nudging",
    ]


def test_an_unknown_term_gives_the_nearest_ones() -> None:
    result = glossary("curser")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the glossary has no term curser; the nearest are: cursor")


def test_what_is_near_to_nothing_gives_the_command_that_lists_all() -> None:
    assert "`daybook help glossary` lists all" in glossary("qqqqqq").stderr


def test_it_prints_data_for_programs() -> None:
    (line,) = glossary("cursor", "--json").stdout.splitlines()
    (cursor,) = (term for term in terms() if term.term == "cursor")

    assert Term(**json.loads(line)) == replace(cursor, avoid=[], unless=[])
    assert len(glossary("--json").stdout.splitlines()) == len(terms())


def test_links_of_the_page_are_not_printed() -> None:
    assert "](" not in glossary().stdout

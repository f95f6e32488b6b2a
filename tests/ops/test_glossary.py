"""`daybook help glossary` finds a term by its own name, by a standard name, and by a word to avoid."""

import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.operate.glossary import Term, terms
from daybook.operate.program import app


def glossary(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["help", "glossary", *arguments], prog_name="daybook")


def terms_in(printed: str) -> list[str]:
    """The terms that were printed, without their explanations."""
    return [line for line in printed.splitlines() if not line.startswith(" ")]


def test_it_prints_every_term_in_alphabetical_order() -> None:
    assert terms_in(glossary().stdout) == sorted((term.term for term in terms()), key=str.casefold)


@pytest.mark.parametrize(
    ("typed", "term"),
    [("cursor", "cursor"), ("Dead Letter", "dead letter"), ("projection", "view"), ("inbox table", "ledger")],
)
def test_a_term_is_found_by_its_names(typed: str, term: str) -> None:
    result = glossary(*typed.split())

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == term


@pytest.mark.parametrize("term", [term for term in terms() if term.avoid], ids=lambda term: term.term)
def test_a_term_is_found_by_the_words_that_it_replaces(term: Term) -> None:
    for word in term.avoid:
        assert term.term in terms_in(glossary(*word.split()).stdout)


def test_a_term_is_printed_with_everything_in_the_glossary_about_it() -> None:
    (rebuild,) = (term for term in terms() if term.term == "rebuild")

    assert glossary("rebuild").stdout.splitlines() == [
        "rebuild",
        f"  {rebuild.meaning}",
        f"  standard: {', '.join(rebuild.standard)}",
        f"  used: {rebuild.used}",
        f"  do not say: {', '.join(rebuild.avoid)}",
    ]


def test_an_unknown_term_is_an_error_with_similar_terms() -> None:
    result = glossary("curser")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the glossary has no term curser; similar terms: cursor")


def test_without_a_similar_term_the_error_has_the_command_that_lists_all() -> None:
    assert "`daybook help glossary` lists all" in glossary("qqqqqq").stderr


def test_it_prints_data_for_programs() -> None:
    (line,) = glossary("cursor", "--json").stdout.splitlines()
    (cursor,) = (term for term in terms() if term.term == "cursor")

    assert Term(**json.loads(line)) == replace(cursor, avoid=[], unless=[])
    assert len(glossary("--json").stdout.splitlines()) == len(terms())


def test_links_are_printed_as_plain_text() -> None:
    assert "](" not in glossary().stdout

"""The check of the language finds the words that the glossary replaces."""

from pathlib import Path

import pytest

from daybook.operate.glossary import Term, terms
from tools.language import Finding, Words

GIZMO = Term(
    "device", "What measures.", "everywhere", avoid=["gizmo", "clever thing", "light"], unless=["light year", "--light"]
)


def found(text: str) -> list[tuple[int, str]]:
    return [(line, word) for line, word, _ in Words([GIZMO]).found_in(text)]


@pytest.mark.parametrize(
    "text",
    [
        "a gizmo.",
        "Gizmo",
        "gizmos",
        "GIZMO_COUNT",
        "old_gizmo",
        "oldGizmo",
        "HTTPGizmo",
        "gizmo-1",
        "`gizmo`",
        "gizmo's",
    ],
)
def test_a_word_is_found_in_sentences_and_identifiers(text: str) -> None:
    assert [word.removesuffix("s") for _, word in found(text)] == ["gizmo"]


@pytest.mark.parametrize("text", ["gizmology", "a clever, thing", "two light years", "run --light"])
def test_other_words_are_not_found(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "text", ["CleverThing", "clever_thing", "a clever\nthing", "# a clever\n    # thing", "> clever\n> thing"]
)
def test_a_phrase_is_found_in_identifiers_and_over_the_end_of_a_line(text: str) -> None:
    assert [word for _, word in found(text)] == ["clever thing"]


def test_a_finding_names_the_line_and_what_to_say_instead() -> None:
    assert list(Words([GIZMO]).found_in("one\ntwo gizmos\n")) == [(2, "gizmos", "'device'")]
    finding = Finding("functions/shop/sell.py", 3, "gizmo", "'device'")
    assert str(finding) == "functions/shop/sell.py:3: 'gizmo': say 'device'"


def test_names_of_files_are_checked_and_built_files_are_not(tmp_path: Path) -> None:
    for name in ("gizmo.py", "build/gizmo.py", ".venv/gizmo.py", "notes.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("pass\n")

    assert [(each.file, each.line) for each in Words([GIZMO]).found_under(tmp_path)] == [("gizmo.py", 0)]


def test_the_glossary_itself_uses_no_word_that_it_replaces() -> None:
    words = Words(terms())

    assert [term.term for term in terms() if list(words.found_in(term.term))] == []
    assert [term.term for term in terms() if list(words.found_in(f"{term.meaning} {term.used}"))] == []

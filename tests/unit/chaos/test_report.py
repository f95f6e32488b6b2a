"""Each run replaces its own part of the report."""

from pathlib import Path

import pytest

from chaos.report import NoPart, table, write

PAGE = "# Proof\n\n<!-- one -->\n\nold\n\n<!-- end of one -->\n\n<!-- two -->\n\nkept\n\n<!-- end of two -->\n"


def test_a_run_replaces_only_its_own_part(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")

    write("one", "new \\1 text\n", page)

    assert page.read_text(encoding="utf-8") == PAGE.replace("old", "new \\1 text")


def test_a_page_without_the_part_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")

    with pytest.raises(NoPart, match="three"):
        write("three", "new", page)


def test_numbers_of_a_table_are_aligned_to_the_right_and_bars_are_escaped() -> None:
    assert table(("what", "times"), [("a|b", "1,000")]) == "| what | times |\n| --- | ---: |\n| a\\|b | 1,000 |"

"""Sizes of items as DynamoDB counts them; reads are billed per started 4 KB."""

import pytest

from bench.recorder.daybook_usage.sizes import item_bytes, read_units


def test_the_size_of_an_item_is_its_names_and_values() -> None:
    assert item_bytes({"sku": {"S": "mug"}}) == 3 + 3
    assert item_bytes({"münze": {"S": "é"}}) == 6 + 2
    assert item_bytes({"n": {"N": "1250"}}) == 1 + 4
    assert item_bytes({"m": {"M": {"a": {"BOOL": True}}}}) == 1 + 3 + 1 + 1 + 1
    assert item_bytes({"l": {"L": [{"NULL": True}]}}) == 1 + 3 + 1 + 1


@pytest.mark.parametrize(("size", "units"), [(0, 1), (4096, 1), (4097, 2)])
def test_reads_are_billed_per_started_four_kb(size: int, units: int) -> None:
    assert read_units(size, consistent=True) == units
    assert read_units(size, consistent=False) == units / 2

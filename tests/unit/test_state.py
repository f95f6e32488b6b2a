"""State: no row with a misspelled field, or with a value that its field does not allow, can be made."""

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import ValidationError

from daybook.store.state import State

ROOT = Path(__file__).parents[2]


class Reservation(State, table="loan-reservations", key="loan_id"):
    """The books that are reserved for a loan."""

    loan_id: str
    stage: Literal["none", "reserved", "committed"] = "none"
    copies: dict[str, int] = {}


RESERVED = Reservation(loan_id="1001", stage="reserved", copies={"emma": 2})


def test_evolve_changes_the_named_fields_and_keeps_the_others() -> None:
    assert RESERVED.evolve(stage="committed") == Reservation(loan_id="1001", stage="committed", copies={"emma": 2})
    assert RESERVED.stage == "reserved"


@pytest.mark.parametrize(
    "changes",
    [{"stage": "commited"}, {"copys": {}}, {"copies": 3}, {"stage": "committed", "copys": 3}],
    ids=["value outside of the set", "misspelled field", "value of another type", "right and wrong"],
)
def test_a_change_that_the_row_does_not_allow_raises_at_once(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"Reservation\n{list(changes)[-1]}\n"):
        RESERVED.evolve(**changes)


def test_a_new_row_with_a_misspelled_field_cannot_be_made() -> None:
    with pytest.raises(ValidationError, match="stge"):
        Reservation.model_validate({"loan_id": "1001", "stge": "reserved"})


def test_a_row_that_newer_code_has_written_is_read_without_its_unknown_fields() -> None:
    item = RESERVED.to_item(3) | {"unknown": {"N": "2"}}

    assert Reservation.from_item(item) == RESERVED


def test_no_code_copies_a_row_without_validating_it() -> None:
    files = [file for folder in ("daybook", "functions") for file in (ROOT / folder).rglob("*.py")]

    assert len(files) > 100
    assert [file.name for file in files if "model_copy(" in file.read_text(encoding="utf-8")] == []

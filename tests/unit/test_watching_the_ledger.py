"""watch-ledger: changes of the ledger that no code makes are reported, and all that code makes are not.

Each guard was switched off in turn, and each time tests of this file failed: each line of `violation`, each filter, and
the count of the metric.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from daybook.backbone import watch_ledger
from daybook.backbone.watch_ledger import FILTERS
from daybook.consumers.effect_records import OPEN, WITHDRAWN
from daybook.store.cursor import BLOCKED, MOVING, WAITING
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, TRYING
from daybook.testing.world import Context, World
from tests.metrics import emitted

# The states of a row before and after a change; empty without a row.
LEGAL = [
    *(("", state) for state in (TRYING, COMMITTED, DEAD)),
    *((TRYING, state) for state in (TRYING, COMMITTED, DEAD)),
    *((DEAD, state) for state in (DEAD, COMMITTED, DISCARDED)),
    (DISCARDED, COMMITTED),  # an effect was performed before its event was discarded
    *((("", OPEN), (OPEN, OPEN), (OPEN, WITHDRAWN), (WITHDRAWN, OPEN))),
    *((("", MOVING), (MOVING, WAITING), (WAITING, BLOCKED), (BLOCKED, MOVING))),
]
ILLEGAL = [
    *((COMMITTED, state) for state in (TRYING, COMMITTED, DEAD, DISCARDED, "")),
    *((DISCARDED, state) for state in (TRYING, DEAD, DISCARDED, "")),
    *((state, DISCARDED) for state in ("", TRYING)),
    *((state, "") for state in (TRYING, DEAD, OPEN, MOVING)),
]


@pytest.mark.parametrize(("before", "after"), LEGAL)
def test_a_change_that_code_makes_is_not_reported(
    world: World, capsys: pytest.CaptureFixture[str], before: str, after: str
) -> None:
    assert world
    assert tampered(changed(before, after), capsys) == 0


@pytest.mark.parametrize(("before", "after"), ILLEGAL)
def test_a_change_that_no_code_makes_passes_the_filter_and_is_reported(
    world: World, capsys: pytest.CaptureFixture[str], before: str, after: str
) -> None:
    assert world
    change = changed(before, after)

    assert any(matches(pattern, change) for pattern in FILTERS)
    assert tampered(change, capsys) == 1


def test_the_changes_of_a_consumer_at_work_do_not_pass_the_filter() -> None:
    rare = [(DEAD, DISCARDED), (DISCARDED, COMMITTED)]  # operators discard

    passing = [each for each in LEGAL if any(matches(pattern, changed(*each)) for pattern in FILTERS)]

    assert passing == rare


def test_a_row_without_a_state_may_change_but_not_be_deleted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world
    switch = {"Keys": KEY, "OldImage": KEY, "NewImage": KEY}

    assert tampered({"eventName": "MODIFY", "eventID": "1", "dynamodb": switch}, capsys) == 0
    assert tampered({"eventName": "REMOVE", "eventID": "1", "dynamodb": {"Keys": KEY, "OldImage": KEY}}, capsys) == 1


KEY = {"key": {"S": "reserve-stock#e-1"}}


def changed(before: str, after: str) -> dict[str, Any]:
    """A record of the change stream."""
    images = {
        name: {**KEY, "state": {"S": state}} for name, state in (("OldImage", before), ("NewImage", after)) if state
    }
    name = "INSERT" if not before else "MODIFY" if after else "REMOVE"
    return {"eventName": name, "eventID": "1", "dynamodb": {"Keys": KEY, **images}}


def tampered(record: Mapping[str, Any], capsys: pytest.CaptureFixture[str]) -> float:
    """How many illegal changes watch-ledger counts and logs."""
    watch_ledger.handler({"Records": [record]}, Context())
    out = capsys.readouterr().out
    counted = sum(sum(values) for metric, values in emitted(out).items() if metric.name == "Tampered")
    assert out.count('"level":"CRITICAL"') == counted
    return counted


def matches(pattern: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether a record matches an event pattern that lists values, as Lambda compares them."""
    return all(
        matches(wanted, record.get(name, {})) if isinstance(wanted, Mapping) else record.get(name) in wanted
        for name, wanted in pattern.items()
    )

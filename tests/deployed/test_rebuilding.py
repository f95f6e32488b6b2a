"""Rebuilding a view of the deployed system. It is rebuilt while events arrive in `tests/deep/test_rebuilding.py`."""

from daybook.operate.tables import PlainTable, generations
from tests.deployed.deployed import Deployed, an_order
from tests.deployed.test_commands import daybook
from tests.local.processes import unique

STATUS = ("order-status", "order-status-placed")


def test_the_preview_of_a_rebuild_changes_nothing(system: Deployed) -> None:
    order = unique("order")
    system.receives(an_order(order))
    table = table_of(system, *STATUS).name
    before = generations(system.connection, table)

    preview = daybook(system, "rebuild", "order-status")

    assert preview.returncode == 0
    assert "repeat the command with --apply" in preview.stdout
    assert generations(system.connection, table) == before


def test_the_error_of_an_unknown_view_lists_the_views(system: Deployed) -> None:
    refused = daybook(system, "rebuild", "stock", "--apply")

    assert refused.returncode == 2
    assert "order-status" in refused.stderr


def table_of(system: Deployed, view: str, function: str) -> PlainTable:
    """The view as its readers see it."""
    return PlainTable(system.connection, system.table(view, function)).live()

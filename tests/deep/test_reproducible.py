"""Same sources, same templates, wherever they are made; and a change reaches those stacks alone that it concerns."""

from pathlib import Path

import pytest

from tests.templates.synthesis import ROOT, Assembly, copy_of_sources, synthesise


def test_two_syntheses_in_two_folders_give_the_same_templates_and_assets(tmp_path: Path, prod: Assembly) -> None:
    sources = copy_of_sources(tmp_path / "elsewhere")
    elsewhere = synthesise(
        tmp_path / "assembly", "prod", root=sources, alarm_email="alarms@example.com", pager_email="pager@example.com"
    )

    assert elsewhere.fingerprints() == prod.fingerprints()


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_sources(tmp_path_factory.mktemp("changed") / "sources")


@pytest.mark.parametrize(
    ("file", "stacks"),
    [
        ("functions/inventory/reserve_stock.py", {"inventory"}),
        ("functions/orders/order.py", {"orders"}),
        ("functions/bookkeeping/publish.py", {"backbone"}),
        ("functions/payments/charge_order.py", {"payments"}),
        ("events/inventory.py", {"backbone", "inventory", "orders", "payments"}),
        ("functions/equipment/watch.py", {"equipment"}),
        ("functions/analytics/tally.py", {"analytics"}),
        ("events/vitals.py", {"backbone", "equipment"}),
        ("functions/fraud/rules.py", {"fraud"}),
        ("functions/compliance/names.py", {"compliance"}),
        ("events/compliance.py", {"backbone", "compliance"}),
        (
            "backbone/work.py",
            {
                "analytics",
                "backbone",
                "compliance",
                "equipment",
                "fraud",
                "inventory",
                "notifications",
                "orders",
                "patients",
                "payments",
                "shipping",
            },
        ),
    ],
)
def test_a_change_reaches_only_the_stacks_that_are_made_of_it(
    file: str, stacks: set[str], changed: Path, local: Assembly, tmp_path: Path
) -> None:
    target = changed / file
    target.write_text(target.read_text() + "\n# changed\n")

    after = synthesise(tmp_path, "local", root=changed).fingerprints()

    target.write_text((ROOT / file).read_text())
    assert different(local.fingerprints(), after) == stacks


def test_a_new_field_of_a_contract_reaches_only_the_backbone_and_those_that_import_its_module(tmp_path: Path) -> None:
    sources = copy_of_sources(tmp_path / "sources")
    add_a_contract_that_only_inventory_listens_to(sources)
    before = synthesise(tmp_path / "before", "local", root=sources).fingerprints()

    module = sources / "events" / "returns.py"
    module.write_text(
        module.read_text().replace("    quantity: Quantity\n", "    quantity: Quantity\n    note: str = ''\n")
    )

    after = synthesise(tmp_path / "after", "local", root=sources).fingerprints()
    assert different(before, after) == {"backbone", "inventory"}


def different(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The stacks whose templates are not the same."""
    assert before.keys() == after.keys()
    return {stack for stack in before if before[stack] != after[stack]}


def add_a_contract_that_only_inventory_listens_to(sources: Path) -> None:
    """Goods come back: a contract in a module of its own, a function, and the line that deploys it."""
    (sources / "events" / "returns.py").write_text(CONTRACT)
    (sources / "functions" / "inventory" / "take_back.py").write_text(FUNCTION)
    catalogue = sources / "events" / "catalogue.py"
    text = catalogue.read_text()
    line = "    shipping,\n"  # once where it is imported, once where it is listed
    assert text.count(line) == 2
    catalogue.write_text(text.replace(line, f"    returns,\n{line}"))
    stack = sources / "stacks" / "inventory.py"
    line = '        self.reaction("take_back", GoodsReturned, changes=[stock])\n'
    stack.write_text("from events.returns import GoodsReturned\n" + stack.read_text() + line)


CONTRACT = """
from backbone.contract import Event
from events.values import Quantity, Sku


class GoodsReturned(Event, joins="return/{sku}", sources=("shop.returns",)):
    sku: Sku
    quantity: Quantity

    example = {"sku": "mug", "quantity": 1}
"""

FUNCTION = """
from backbone.consumer import reaction
from backbone.work import Work
from events.returns import GoodsReturned
from functions.inventory.stock import StockItem


@reaction(GoodsReturned)
def handler(goods: GoodsReturned, work: Work) -> None:
    work.change(StockItem(sku=goods.sku), available=goods.quantity)
"""

"""The same sources give the same templates in any folder, and a change reaches only the stacks that use it.

tests/templates/test_bundles.py tests the bundles. Here the whole app is synthesized.
"""

from pathlib import Path

from tests.assemblies import EMAILS, LOCAL
from tests.templates.synthesis import Assembly, copy_of_sources, synthesise


def test_two_syntheses_in_two_folders_give_the_same_templates_and_assets(tmp_path: Path, aws: Assembly) -> None:
    sources = copy_of_sources(tmp_path / "elsewhere")

    elsewhere = synthesise(tmp_path / "assembly", aws.stage, EMAILS, root=sources)

    assert elsewhere.fingerprints() == aws.fingerprints()


def test_a_change_reaches_only_the_stacks_that_use_the_file(tmp_path: Path, local: Assembly) -> None:
    sources = copy_of_sources(tmp_path / "sources")
    made = [local.fingerprints()]

    def reached() -> set[str]:
        """The stacks whose templates have changed."""
        made.append(synthesise(tmp_path / f"assembly-{len(made)}", local.stage, LOCAL, root=sources).fingerprints())
        before, after = made[-2:]
        assert before.keys() == after.keys()
        return {stack for stack in before if before[stack] != after[stack]}

    with (sources / "functions" / "inventory" / "reserve_stock.py").open("a") as function:
        function.write("# changed\n")
    assert reached() == {"inventory"}

    # The backbone's bundle has all contracts, because admit must know every event.
    add_a_contract_that_only_inventory_uses(sources)
    assert reached() == {"backbone", "inventory"}

    contract = sources / "events" / "returns.py"
    field = "    quantity: Quantity\n"
    assert field in contract.read_text()
    contract.write_text(contract.read_text().replace(field, f"{field}    note: str = ''\n"))
    assert reached() == {"backbone", "inventory"}

    with (sources / "daybook" / "consumers" / "work.py").open("a") as kernel:
        kernel.write("# changed\n")
    assert reached() == local.templates.keys() - {"data"}  # it has no code


def add_a_contract_that_only_inventory_uses(sources: Path) -> None:
    """Add a contract in a new module, a function, and the line that deploys it."""
    (sources / "events" / "returns.py").write_text(CONTRACT)
    (sources / "functions" / "inventory" / "take_back.py").write_text(FUNCTION)
    stack = sources / "stacks" / "inventory.py"
    line = '        self.reaction("take_back", GoodsReturned, changes=[stock])\n'
    stack.write_text("from events.returns import GoodsReturned\n" + stack.read_text() + line)


CONTRACT = """
from daybook.contracts.contract import Event
from events.values import Quantity, Sku


class GoodsReturned(Event, joins="return/{sku}", sources=("shop.returns",)):
    sku: Sku
    quantity: Quantity

    example = {"sku": "mug", "quantity": 1}
"""

FUNCTION = """
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.returns import GoodsReturned
from functions.inventory.stock import StockItem


@reaction(GoodsReturned)
def handler(goods: GoodsReturned, work: Work) -> None:
    work.change(StockItem(sku=goods.sku), available=goods.quantity)
"""

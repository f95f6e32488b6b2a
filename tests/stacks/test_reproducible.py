"""Same sources, same templates, wherever they are made; and a change reaches those stacks alone that it concerns."""

from pathlib import Path

import pytest

from tests.stacks.synthesis import ROOT, Assembly, copy_of_sources, synthesise


def test_two_syntheses_in_two_folders_give_the_same_templates_and_assets(tmp_path: Path, prod: Assembly) -> None:
    sources = copy_of_sources(tmp_path / "elsewhere")
    elsewhere = synthesise(tmp_path / "assembly", "prod", root=sources, alarm_email="alarms@example.com")

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
        ("events/inventory.py", {"backbone", "inventory", "orders"}),
        ("backbone/work.py", {"backbone", "inventory", "orders"}),
    ],
)
def test_a_change_reaches_only_the_stacks_that_are_made_of_it(
    file: str, stacks: set[str], changed: Path, local: Assembly, tmp_path: Path
) -> None:
    target = changed / file
    target.write_text(target.read_text() + "\n# changed\n")

    after = synthesise(tmp_path, "local", root=changed).fingerprints()

    target.write_text((ROOT / file).read_text())
    before = local.fingerprints()
    assert {stack for stack in before if before[stack] != after[stack]} == stacks

"""What the import rules of `make check` allow to what runs in Lambda, held against the project with one import more."""

import tomllib
from copy import deepcopy
from functools import cache

import grimp
import pytest
from grimp import ImportGraph
from importlinter import ContractCheck

from daybook.application import application
from daybook.constructs.import_rules import LambdaImports


@cache
def imports() -> ImportGraph:
    return grimp.build_graph("daybook", "events", "functions", include_external_packages=True, cache_dir=None)


def checked(*more: tuple[str, str]) -> ContractCheck:
    """The rule as pyproject.toml has it, on the project with these imports beside its own."""
    rules = tomllib.loads((application().root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rule,) = [each for each in rules if each["type"] == "lambda_imports"]
    graph = deepcopy(imports())
    for importer, imported in more:
        graph.add_import(importer=importer, imported=imported, line_number=7, line_contents="import …")
    return LambdaImports(rule["name"], {}, rule).check(graph, verbose=False)


def test_the_project_keeps_the_rule() -> None:
    assert checked().metadata == {"illegal": []}


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("functions.equipment.page", "stripe"),
        ("functions.equipment.page", "boto3"),
        ("functions.equipment.page", "typer"),
        ("functions.equipment.queries", "stripe"),
        ("functions.analytics.tally", "daybook.operate.tables"),
        ("functions.analytics.tally", "functions.analytics.queries"),
        ("functions.equipment.page", "functions.patients.lookup"),
        ("functions.equipment.queries", "functions.patients.queries"),
        ("functions.orders.order", "daybook.local.system"),
        ("functions.payments.amount", "babel"),
        ("events.orders", "functions.orders.order"),
        ("events.orders", "boto3"),
        ("daybook.store.state", "rich"),
        ("daybook.contracts.contract", "babel"),
    ],
)
def test_what_runs_in_lambda_imports_nothing_but_what_is_there(importer: str, imported: str) -> None:
    assert checked((importer, imported)).metadata == {"illegal": [(importer, imported, 7)]}


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("functions.payments.amount", "stripe"),
        ("functions.notifications.email", "babel"),
        ("functions.equipment.page", "statistics"),
        ("functions.equipment.page", "pydantic_core"),
        ("functions.equipment.queries", "rich"),
        ("functions.compliance.sanctions_files", "boto3"),
        ("functions.orders.order", "functions.orders.order_status"),
    ],
)
def test_what_is_in_its_layers_and_its_folder_may_be_imported(importer: str, imported: str) -> None:
    assert checked((importer, imported)).kept


def test_a_new_service_is_under_the_rule_without_being_named() -> None:
    handler, command = "functions.laundry.wash", "functions.laundry.commands"
    kept = [(handler, "daybook.consumers.consumer"), (command, "typer"), (command, "functions.patients.queries")]

    assert checked(("functions.laundry", "json"), *kept).kept
    assert checked(("functions.laundry", "json"), (handler, "stripe")).metadata["illegal"] == [(handler, "stripe", 7)]

"""`daybook protect`: the tables of a stage are protected against deletion, and `doctor` says when some are not."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from daybook.operate.program import app
from daybook.operate.protect import check_protection, unprotected
from tests.ops.world import World

OTHERS = ("another-application", "daybook-prod-store", "zoo")


@pytest.fixture
def stage(world: World) -> World:
    """The stage `dev`, beside tables of others."""
    for name in OTHERS:
        world.connection.dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    return world


def protect(*options: str) -> Any:
    return CliRunner().invoke(app, ["protect", "--json", *options])


def is_protected(stage: World, table: str) -> bool:
    described = stage.connection.dynamodb.describe_table(TableName=table)["Table"]
    return bool(described.get("DeletionProtectionEnabled"))


def test_the_preview_names_the_tables_of_the_stage_and_changes_nothing(stage: World) -> None:
    answer = json.loads(protect().stdout)

    assert stage.names.store in answer["tables"]
    assert not {*OTHERS} & {*answer["tables"]}
    assert not is_protected(stage, stage.names.store)


def test_all_tables_of_the_stage_are_protected_and_those_of_others_are_not_touched(stage: World) -> None:
    assert protect("--apply").exit_code == 0

    assert list(unprotected(stage.connection)) == []
    assert not any(is_protected(stage, name) for name in OTHERS)
    with pytest.raises(ClientError):
        stage.connection.dynamodb.delete_table(TableName=stage.names.store)


def test_it_is_recorded_with_the_operator_and_not_again_when_nothing_is_left_to_do(stage: World) -> None:
    tables = json.loads(protect("--apply").stdout)["tables"]
    assert json.loads(protect("--apply").stdout) == {"tables": [], "applied": False}

    items = stage.connection.dynamodb.scan(TableName=stage.names.store)["Items"]
    (operation,) = [json.loads(each["data"]["S"]) for each in items if each["type"]["S"] == "TablesProtected"]
    assert operation["tables"] == tables


def test_a_table_that_was_added_later_is_found(stage: World) -> None:
    protect("--apply")
    new = stage.names.of("inventory-StockTable-1A2B")
    stage.connection.dynamodb.create_table(
        TableName=new,
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    assert json.loads(protect().stdout)["tables"] == [new]


def test_doctor_says_nothing_about_tables_of_a_stage_that_keeps_no_data(stage: World) -> None:
    assert list(unprotected(stage.connection))
    assert check_protection(stage.connection).well

"""Rows of services' tables, as an operator's command reads them."""

from collections.abc import Mapping
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key

from daybook.operate.connection import Connection
from daybook.operate.tables import DeployedTable, MayNotAskLambda, ServiceNotDeployed, TableNotGiven
from daybook.store.attributes import pack_item
from tests.ops.aws import answering
from tests.ops.world import World


def devices(world: World, **rows: Mapping[str, Any]) -> DeployedTable:
    """The table `devices` of a service, with these rows, found by a function that uses it."""
    name = world.uses("track-equipment", "devices")["devices"]
    for key, row in rows.items():
        world.connection.dynamodb.put_item(TableName=name, Item=pack_item({"id": key, **row}))
    return DeployedTable.of(world.connection, "devices", function="track-equipment")


def test_a_table_is_found_by_a_function_that_uses_it_whatever_its_name(world: World) -> None:
    names = world.uses("reserve-stock", "stock", "open-reservations")
    world.uses("release-stock", "open-reservations")

    for function in ("reserve-stock", "release-stock"):
        found = DeployedTable.of(world.connection, "open-reservations", function=function)
        assert found.name == names["open-reservations"]


def test_a_row_comes_back_as_plain_values(world: World) -> None:
    row = {"ward": "3", "level": 7, "alarms": [{"code": "low"}], "silent": False, "seen_by": None}
    table = devices(world, pump=row)

    assert table.row("pump") == {"id": "pump", **row}
    assert table.row("bed") is None


def test_any_number_of_rows_is_read_by_their_keys_in_the_order_asked_for(world: World) -> None:
    table = devices(world, **{f"pump-{number}": {"level": number} for number in range(120)})
    wanted = [f"pump-{number}" for number in reversed(range(120))]

    found = table.rows([*wanted, "bed", "pump-7"])

    assert list(found) == wanted
    assert [row["level"] for row in found.values()] == list(reversed(range(120)))
    assert table.rows([]) == {}


def test_a_scan_gives_all_rows_or_those_of_which_a_condition_holds(world: World) -> None:
    table = devices(world, pump={"level": 7, "silent": True}, bed={"level": 1, "silent": True}, lamp={"level": 9})

    assert {row["id"] for row in table.scan()} == {"pump", "bed", "lamp"}
    assert [row["id"] for row in table.scan(Attr("silent").eq(True) & Attr("level").gt(5))] == ["pump"]
    assert {row["id"] for row in table.scan(Attr("silent").not_exists())} == {"lamp"}


def test_a_scan_reads_on_where_a_page_ends(world: World) -> None:
    large = "x" * 300_000  # bytes: a page ends after 1 MB
    table = devices(world, **{f"pump-{number}": {"note": large} for number in range(8)})

    assert len(list(table.scan())) == 8


def test_an_index_gives_the_rows_under_one_of_its_keys_in_its_order(world: World) -> None:
    table = devices(
        world,
        pump={"ward": "3", "level": 7},
        bed={"ward": "3", "level": 1},
        lamp={"ward": "4", "level": 9},
        scale={"ward": "3", "level": 8},
    )

    assert [row["id"] for row in table.query("by-ward", Key("ward").eq("3"))] == ["bed", "pump", "scale"]
    assert [row["id"] for row in table.query("by-ward", Key("ward").eq("3"), Attr("level").gte(7))] == ["pump", "scale"]
    assert [row["id"] for row in table.query("by-ward", Key("ward").eq("3") & Key("id").begins_with("p"))] == ["pump"]


def test_a_service_that_is_not_deployed_is_said_with_the_next_step(world: World) -> None:
    with pytest.raises(ServiceNotDeployed, match="track-equipment, which uses it, is not deployed") as caught:
        DeployedTable.of(world.connection, "devices", function="track-equipment")

    assert "npx cdk deploy --all -c stage=dev" in str(caught.value)


def test_a_function_that_was_given_no_such_table_is_said(world: World) -> None:
    world.uses("track-equipment", "devices")

    with pytest.raises(TableNotGiven, match="track-equipment is deployed, and was given no such table"):
        DeployedTable.of(world.connection, "wards", function="track-equipment")


def test_an_operator_who_may_not_ask_lambda_is_told_what_that_takes() -> None:
    error = {"__type": "AccessDeniedException", "message": "not authorized"}
    with answering({"*": error}, status=403) as aws:
        connection = Connection.to("local", environment={"AWS_ENDPOINT_URL": aws.endpoint})

        with pytest.raises(MayNotAskLambda, match="lambda:GetFunctionConfiguration of daybook-local-track-equipment"):
            DeployedTable.of(connection, "devices", function="track-equipment")

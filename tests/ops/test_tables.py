"""Reading rows of services' tables."""

from collections.abc import Mapping
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key

from daybook.operate.connection import Connection
from daybook.operate.consumers import consumers
from daybook.operate.functions import MayNotListFunctions
from daybook.operate.tables import DeployedTable, PlainTable, ServiceNotDeployed, TableNotGiven
from daybook.store.attributes import pack_item
from functions.equipment.tracking import DeviceStatus
from functions.inventory.stock import Reservation, StockItem
from tests.ops.aws import answering
from tests.ops.world import World


def devices(world: World, **rows: Mapping[str, Any]) -> PlainTable:
    """The table `devices` of a service, with these rows."""
    table = PlainTable(world.connection, world.uses("track-equipment", "devices")["devices"])
    for key, row in rows.items():
        world.connection.dynamodb.put_item(TableName=table.name, Item=pack_item({"id": key, **row}))
    return table


def test_a_table_is_found_by_the_class_of_its_rows(world: World) -> None:
    names = world.uses("reserve-stock", "stock", service="inventory") | world.uses(
        "release-stock", "reservations", service="inventory"
    )

    deployed = consumers(world.connection)

    assert DeployedTable.of(world.connection, StockItem).name == names["stock"]
    assert DeployedTable.of(world.connection, Reservation, deployed=deployed).name == names["reservations"]


def test_two_services_can_have_tables_with_the_same_name(world: World) -> None:
    world.uses("count-stock", "stock", service="audit", suffix="of-audit")
    own = world.uses("reserve-stock", "stock", service="inventory")

    assert DeployedTable.of(world.connection, StockItem).name == own["stock"]


def test_rows_are_read_as_their_class(world: World) -> None:
    world.uses("reserve-stock", "stock", service="inventory")
    stock = DeployedTable.of(world.connection, StockItem)
    mug, pot = StockItem(sku="mug", available=3), StockItem(sku="pot", available=1, reserved=2)
    for item in (mug, pot):
        stock.put(item)

    assert (stock.row("mug"), stock.row("cup")) == (mug, None)
    assert stock.rows(["pot", "cup", "mug"]) == {"pot": pot, "mug": mug}
    assert sorted(stock.scan(), key=lambda row: row.sku) == [mug, pot]
    assert list(stock.scan(Attr("reserved").gt(0))) == [pot]


def test_a_view_has_the_rows_of_its_live_generation(world: World) -> None:
    name = world.uses("track-equipment", "devices", service="equipment")["devices"]
    reading = {"value": 71, "unit": "/min", "measured_at": "2026-03-01T12:00:00.000000Z"}
    items = (
        {"id": "@generation", "live": 2, "version": 1},
        {"id": "MON-7", "ward": "old"},
        {"id": "@2/MON-7", "ward": "3", "ward@": "0", "8867-4": reading},
    )
    for item in items:
        world.connection.dynamodb.put_item(TableName=name, Item=pack_item(item))

    found = DeployedTable.of_view(world.connection, DeviceStatus).row("MON-7")

    assert found
    assert (found.device_id, found.ward, found.status) == ("MON-7", "3", "unknown")
    assert found.readings["8867-4"].model_dump(mode="json") == {**reading, "value": "71"}


def test_a_row_is_read_as_plain_values(world: World) -> None:
    row = {"ward": "3", "level": 7, "alarms": [{"code": "low"}], "silent": False, "seen_by": None}
    table = devices(world, pump=row)

    assert table.row("pump") == {"id": "pump", **row}
    assert table.row("bed") is None


def test_any_number_of_rows_is_read_by_key_in_the_requested_order(world: World) -> None:
    table = devices(world, **{f"pump-{number}": {"level": number} for number in range(120)})
    wanted = [f"pump-{number}" for number in reversed(range(120))]

    found = table.rows([*wanted, "bed", "pump-7"])

    assert list(found) == wanted
    assert [row["level"] for row in found.values()] == list(reversed(range(120)))
    assert table.rows([]) == {}


def test_a_scan_returns_all_rows_or_those_that_match_a_condition(world: World) -> None:
    table = devices(world, pump={"level": 7, "silent": True}, bed={"level": 1, "silent": True}, lamp={"level": 9})

    assert {row["id"] for row in table.scan()} == {"pump", "bed", "lamp"}
    assert [row["id"] for row in table.scan(Attr("silent").eq(True) & Attr("level").gt(5))] == ["pump"]
    assert {row["id"] for row in table.scan(Attr("silent").not_exists())} == {"lamp"}


def test_a_scan_reads_all_pages(world: World) -> None:
    large = "x" * 300_000  # bytes: a page ends after 1 MB
    table = devices(world, **{f"pump-{number}": {"note": large} for number in range(8)})

    assert len(list(table.scan())) == 8


def test_a_query_returns_the_rows_of_one_key_in_order(world: World) -> None:
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


def test_a_service_that_is_not_deployed_is_an_error_with_the_next_step(world: World) -> None:
    world.uses("track-equipment", "devices", service="equipment")

    with pytest.raises(ServiceNotDeployed, match="no function of its service, inventory, is deployed") as caught:
        DeployedTable.of(world.connection, StockItem)

    assert "npx cdk deploy --all -c stage=dev" in str(caught.value)


def test_a_deployed_service_without_the_table_is_an_error(world: World) -> None:
    world.uses("reserve-stock", "stock", service="inventory")

    with pytest.raises(TableNotGiven, match="inventory, is deployed, but none of its functions uses this table"):
        DeployedTable.of(world.connection, Reservation)


def test_a_missing_permission_to_list_functions_is_named() -> None:
    error = {"__type": "AccessDeniedException", "message": "not authorized"}
    with answering({"*": error}, status=403) as aws:
        connection = Connection.to("local", environment={"AWS_ENDPOINT_URL": aws.endpoint})

        with pytest.raises(MayNotListFunctions, match=r"of the stage local.*lambda:ListFunctions"):
            DeployedTable.of(connection, StockItem)

"""A stage whose history is checked, what damages it, and the differences that `daybook audit check` finds."""

import json
from dataclasses import replace
from typing import Any

from moto.backends import get_backend
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.operate.program import app
from daybook.store.event_store import to_item
from daybook.testing.keys import writer
from tests.ops.world import World, ms

WAREHOUSE = "warehouse.receiving"
RESERVE, PLACE = "reserve-stock", "place-order"
MINUTE = 60_000  # milliseconds
ACCOUNT = "123456789012"  # moto's


def audited(world: World) -> World:
    """The stage with two consumers of orders, one of reservations, and an ordered one of reports."""
    world.listens(RESERVE, "OrderPlaced")
    world.listens(PLACE, "OrderPlaced")
    world.listens("charge-order", "StockReserved")
    world.listens("raise-alarm", "EquipmentStatusReported")
    world.uses("raise-alarm", event="EquipmentStatusReported", ordered=True)
    listen_since(ms(-24 * 60 * MINUTE))
    return world


def check(*options: str, settled: str = "0s") -> Any:
    return CliRunner().invoke(app, ["audit", "check", "--settled", settled, "--processes", "1", *options])


def found(*options: str, settled: str = "0s") -> list[tuple[str, str, str]]:
    """Each difference: its kind, its place, and its text."""
    result = check("--json", *options, settled=settled)
    assert result.exit_code in {0, 1}, result.output
    differences = differences_in(result.stdout)
    assert result.exit_code == bool(differences)
    assert sum(json.loads(result.stdout.splitlines()[-1])["differences"].values()) == len(differences)
    return differences


def differences_in(output: str) -> list[tuple[str, str, str]]:
    """The differences in what the command has printed as JSON."""
    *differences, _ = map(json.loads, output.splitlines())
    return sorted(
        (each["kind"], f"{each['stream']}#{each['sequence']}" if each["stream"] else each["event"], each["text"])
        for each in differences
    )


def counted(*options: str, settled: str = "0s") -> dict[str, int]:
    result = check("--json", *options, settled=settled)
    counts: dict[str, int] = json.loads(result.stdout.splitlines()[-1])["checked"]
    return counts


def listen_since(moment: str) -> None:
    """Set the creation time of all queues."""
    for queue in get_backend("sqs")[ACCOUNT]["eu-central-1"].queues.values():
        queue.created_timestamp = clock.moment(moment).timestamp()


def an_order(stage: World, order: str = "1001", *, after: float = 0) -> tuple[Envelope, Envelope]:
    """A placed order with its reservation, handled by all consumers."""
    placed = stage.recorded("OrderPlaced", f"order/{order}", after=after)
    reserved = stage.recorded("StockReserved", f"reservation/{order}", after=after + 5, cause=placed, producer=RESERVE)
    stage.handled(placed, RESERVE, reserved, after=after + 5)
    stage.handled(placed, PLACE, after=after + 6)
    stage.handled(reserved, "charge-order", after=after + 7)
    return placed, reserved


def deliveries(stage: World, number: int, *, stream: str = "stock/mug") -> list[Envelope]:
    """This many events of one stream without subscribers."""
    return [stage.recorded("StockReceived", stream, after=each, producer=WAREHOUSE) for each in range(number)]


def remove(stage: World, event: Envelope) -> None:
    stage.connection.dynamodb.delete_item(TableName=stage.names.store, Key=place_of(event))


def change(stage: World, event: Envelope, **attributes: Any) -> None:
    item = to_item(event) | attributes
    stage.connection.dynamodb.put_item(TableName=stage.names.store, Item=item)


def forget(stage: World, event: Envelope, consumer: str) -> None:
    stage.connection.dynamodb.delete_item(
        TableName=stage.names.ledger, Key={"key": {"S": f"{consumer}#{event.metadata.id}"}}
    )


def place_of(event: Envelope) -> dict[str, Any]:
    return {"stream": {"S": event.metadata.stream}, "sequence": {"N": str(event.metadata.sequence)}}


def resealed(event: Envelope, *, data: str | None = None, after: Envelope | None = None, **metadata: Any) -> Envelope:
    """The event with other content, a matching hash, and the proof of its writer."""
    return Envelope.proven(
        replace(event.metadata, **metadata),
        event.data if data is None else data,
        source=event.source,
        in_correlation_index=event.in_correlation_index,
        previous=after.hash if after else event.previous,
        writer=writer(event.writer),
    )

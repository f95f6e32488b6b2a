"""`daybook audit export` writes the history to a file that can be checked by others."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.contracts.envelope import GENESIS
from daybook.operate.audit import export as exporting
from daybook.operate.program import app
from tests.ops.world import World, ago

HOUR = 3_600_000  # milliseconds
TO = Path("history.jsonl.gz")


def export(*options: str, to: str = str(TO), since: str = "3d") -> Any:
    return CliRunner().invoke(app, ["audit", "export", "--to", to, "--since", since, *options])


def lines(path: Path = TO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def left() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_all_events_are_exported_in_the_order_of_recording(world: World) -> None:
    recorded = [
        world.recorded("OrderPlaced", f"order/{number % 7}", after=-number * HOUR / 3, data='{"note":"Zoë \\u2028"}')
        for number in reversed(range(20))
    ]

    result = export()

    assert result.exit_code == 0, result.output
    assert [line["hash"] for line in lines()] == [event.hash.hex() for event in recorded]
    assert "20 events" in result.stdout
    assert hashlib.sha256(TO.read_bytes()).hexdigest() in result.stdout


def test_events_with_the_same_time_stay_in_the_order_of_their_stream(world: World) -> None:
    for number in range(250):
        world.recorded("StockReceived", f"stock/{number % 3}", after=0, admitted=False)

    export()

    places = [(line["metadata"]["stream"], line["metadata"]["sequence"]) for line in lines()]
    assert len(places) == 250
    for stream in range(3):
        own = [sequence for each, sequence in places if each == f"stock/{stream}"]
        assert own == list(range(1, len(own) + 1))


def test_a_line_can_be_checked_by_its_hash_and_its_predecessor(world: World) -> None:
    for number in range(3):
        world.recorded("OrderPlaced", "order/1001", after=number, data='{"note":"Zoë","total":1.10}')

    export()

    previous = GENESIS.hex()
    for line in lines():
        own, _ = line.pop("hash"), line.pop("proof")
        assert line["previous"] == previous
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        assert hashlib.sha256(text.encode()).hexdigest() == own
        previous = own


def test_the_same_history_makes_the_same_bytes(world: World) -> None:
    for number in range(5):
        world.recorded("OrderPlaced", f"order/{number}", after=number)

    export()
    export(to="again.jsonl.gz")

    assert TO.read_bytes() == Path("again.jsonl.gz").read_bytes()


def test_only_its_owner_may_read_the_file(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001")

    export()

    assert TO.stat().st_mode & 0o777 == 0o600


def test_an_existing_file_is_replaced_only_with_force(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001")
    TO.write_text("kept")

    refused = export()
    assert (refused.exit_code, TO.read_text()) == (2, "kept")
    assert "--force" in refused.stderr

    assert export("--force").exit_code == 0
    assert len(lines()) == 1
    assert TO.stat().st_mode & 0o777 == 0o600


def test_since_and_until_select_by_time_of_recording_without_the_last_minutes(world: World) -> None:
    for minutes in (90, 40, 1):
        world.recorded("OrderPlaced", f"order/{minutes}", after=ago(minutes=minutes))

    export("--until", "0s")
    assert [line["metadata"]["stream"] for line in lines()] == ["order/90", "order/40"]

    export("--force", since="45m")
    assert [line["metadata"]["stream"] for line in lines()] == ["order/40"]

    export("--force", "--until", "45m")
    assert [line["metadata"]["stream"] for line in lines()] == ["order/90"]


def test_an_event_that_the_store_lacks_is_an_error_and_leaves_no_file(world: World) -> None:
    for number in range(3):
        world.recorded("OrderPlaced", f"order/{number}", after=number)
    world.connection.dynamodb.update_item(
        TableName=world.names.store,
        Key={"stream": {"S": "order/1"}, "sequence": {"N": "1"}},
        UpdateExpression="REMOVE #hash",
        ExpressionAttributeNames={"#hash": "hash"},
    )

    result = export()

    assert result.exit_code == 1
    assert "order/1 #1 (OrderPlaced-order-1-1)" in result.stderr
    assert left() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_leaves_no_file(world: World, error: type[BaseException]) -> None:
    event = world.recorded("OrderPlaced", "order/1001")

    def history() -> Iterator[Any]:
        yield event
        assert len(left()) == 1  # a temporary file
        assert left() != [TO.name]
        raise error

    with pytest.raises(error):
        exporting.write(history(), TO, force=False)

    assert left() == []


def test_plain_lines_go_to_standard_output(world: World) -> None:
    for number in range(3):
        world.recorded("OrderPlaced", f"order/{number}", after=number)

    result = export(to="-")

    assert [json.loads(line)["metadata"]["stream"] for line in result.stdout.splitlines()] == [
        f"order/{number}" for number in range(3)
    ]
    assert left() == []


def test_a_missing_folder_is_an_error(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001")

    result = export(to="nowhere/history.jsonl.gz")

    assert result.exit_code == 2
    assert "nowhere/history.jsonl.gz cannot be written: No such file or directory" in result.stderr

"""Commands against the deployed system, as programs."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.deployed.deployed import Deployed, an_order, stock_received
from tests.local.processes import TIMEOUT, unique


def daybook(system: Deployed, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of `daybook` for the local stage, with only the endpoint of the local cloud in its environment."""
    environment = {"PATH": os.environ["PATH"], **system.cloud.reach}
    return subprocess.run(
        [str(Path(sys.executable).with_name("daybook")), *arguments, "--stage", "local"],
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


def test_an_order_is_sent_traced_and_listed(system: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 3))

    sent = daybook(system, "send", "-", "--json", given=json.dumps(an_order(order, lines=[(sku, 1)])))
    event_id = json.loads(sent.stdout)["event_id"]
    system.finishes(event_id)
    by_stream = daybook(system, "trace", f"order/{order}")
    by_id = daybook(system, "trace", event_id, "--json")
    listed = daybook(system, "events", "--type", "StockReserved", "--json")

    assert by_stream.returncode == 0
    for shown in ("OrderPlaced", "reserve-stock  committed", f"StockReserved  reservation/{order} #1", "waiting 0"):
        assert shown in by_stream.stdout
    assert [event["type"] for event in json.loads(by_id.stdout)["events"]][:2] == ["OrderPlaced", "StockReserved"]
    assert f"reservation/{order}" in {json.loads(line)["stream"] for line in listed.stdout.splitlines()}


def test_an_event_that_admit_would_reject_is_not_sent(system: Deployed) -> None:
    sent = daybook(system, "send", "-", given=json.dumps(an_order(lines=[("mug", 0)])))

    assert sent.returncode == 2
    assert "lines.0.quantity" in sent.stderr


def test_the_error_of_an_unknown_stream_names_the_next_command(system: Deployed) -> None:
    traced = daybook(system, "trace", f"order/{unique('unknown')}")

    assert traced.returncode == 1
    assert "daybook events --stage local" in traced.stderr

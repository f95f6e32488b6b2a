"""`daybook replay` as a program: a consumer that has lost its messages gets its events again, while others arrive."""

import json

from daybook.contracts import clock
from tests.deployed.deployed import Deployed, an_order, in_queue, paused, stock_received
from tests.deployed.test_commands import daybook
from tests.local.processes import unique, until

TO = "reserve-stock"


def test_lost_events_are_delivered_once_while_new_events_arrive(system: Deployed) -> None:
    mug, began = unique("mug"), clock.now()
    lost, live = [unique("lost") for _ in range(25)], [unique("live") for _ in range(10)]
    system.receives(stock_received(mug, 100))
    with paused(system, TO):
        placed = system.sends(*(an_order(order, lines=[(mug, 1)]) for order in lost))
        until(lambda: in_queue(system, TO) >= len(lost), what="all orders wait in the queue")
        url = system.connection.sqs.get_queue_url(QueueName=system.connection.names.of(TO))["QueueUrl"]
        system.connection.sqs.purge_queue(QueueUrl=url)
    assert [system.outcome(order) for order in lost] == [[]] * len(lost)

    preview = daybook(system, "replay", "--to", TO, "--missing", "--since", began)
    placed += system.sends(*(an_order(order, lines=[(mug, 1)]) for order in live))
    applied = daybook(system, "replay", "--to", TO, "--missing", "--since", began, "--apply", "--json")
    system.finishes(*placed)

    assert "25 OrderPlaced" in preview.stdout, preview.stderr
    assert "charge-order (charge/{order_id})" in preview.stdout
    assert applied.returncode == 0, applied.stderr
    assert json.loads(applied.stdout)["events"] >= len(lost)
    assert [system.outcome(order) for order in (*lost, *live)] == [["StockReserved"]] * 35
    assert system.pieces(mug) == (65, 35)

    again = daybook(system, "replay", "--to", TO, "--all", "--since", began, "--apply")
    assert "reserve-stock has all selected events" in again.stdout, again.stderr
    assert "Skipped, because reserve-stock has processed them" in again.stdout
    finished = daybook(system, "replay", "--resume", json.loads(applied.stdout)["operation"], "--apply")
    assert (finished.returncode, "finished at" in finished.stderr) == (0, True)


def test_an_effect_receives_only_events_that_are_selected_by_id(system: Deployed) -> None:
    refused = daybook(system, "replay", "--to", "charge-order", "--missing", "--apply")

    assert refused.returncode == 2
    assert "--event ID" in refused.stderr

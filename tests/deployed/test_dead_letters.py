"""Dead letters of the deployed system, and the operator's commands for them, as programs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from daybook.local.faults import ALWAYS, Fault, Faults
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED
from tests.deployed.deployed import CONFIRMED, Deployed, an_event, an_order, in_queue, paused, stock_received
from tests.deployed.hospital.test_equipment import a_registered_device, a_report
from tests.deployed.test_commands import daybook
from tests.local.processes import TIMEOUT, unique, until

RESERVE, ORDERED = "reserve-stock", "raise-alarm"


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def results(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The result of each dead letter, by its id."""
    return {line["id"]: line["result"] for line in lines(done)[:-1]}


def a_refund(order: str) -> dict[str, Any]:
    data = {"order_id": order, "refund_id": unique("R"), "amount": {"amount": 100, "currency": "EUR"}}
    return an_event("RefundClaimed", data, source="shop.service-desk", producer_id=unique("refund"))


def state(system: Deployed, event: str, consumer: str) -> str | None:
    entry = system.connection.ledger.find(event, consumer)
    return entry.state if entry else None


def test_orders_that_died_of_a_fault_are_retried_after_its_repair_and_each_is_processed_once(
    system: Deployed, faults: Faults
) -> None:
    sku, orders = unique("mug"), [unique("dead") for _ in range(3)]
    system.receives(stock_received(sku, 9))
    write: Any = {"function": RESERVE, "operation": "TransactWriteItems", "times": ALWAYS}
    broken = [Fault.denied(mentions=order, **write) for order in orders]

    with faults.inject(*broken):
        placed = system.sends(*(an_order(order, lines=[(sku, 2)]) for order in orders))
        assert {system.dead(each, RESERVE).details["error"] for each in placed} == {"AccessDeniedException"}
        groups = json.loads(daybook(system, "dead", "--consumer", RESERVE, "--json").stdout)["groups"]
        shown = daybook(system, "dead", "show", placed[0])
        again = daybook(system, "dead", "retry", f"{placed[0]}@{RESERVE}", "--apply", "--json")
    names = [f"{each}@{RESERVE}" for each in placed]
    preview = daybook(system, "dead", "retry", *names)
    retried = daybook(system, "dead", "retry", *names, "--reason", "the role may write again", "--apply", "--json")
    system.finishes(*placed)

    (group,) = [each for each in groups if each["error"] == "AccessDeniedException"]
    assert group["count"] >= 3
    assert shown.returncode == 0
    assert f"{RESERVE}  dead" in shown.stdout
    assert "Ada Lovelace" not in shown.stdout
    assert (again.returncode, results(again)) == (1, {names[0]: "dead again"})
    assert "Nothing was changed" in preview.stdout
    assert (retried.returncode, results(retried)) == (0, dict.fromkeys(names, "done"))
    assert [system.types(f"order/{order}") for order in orders] == [CONFIRMED] * 3
    assert system.pieces(sku) == (3, 6)
    operation = lines(retried)[-1]["operation"]
    assert system.types(f"operation/{operation}") == ["DeadLettersRetried"]


def test_the_command_that_a_dead_letter_shows_prints_the_log_lines_of_its_attempts(
    system: Deployed, faults: Faults
) -> None:
    order = unique("logged")
    denied = Fault.denied(function=RESERVE, operation="TransactWriteItems", mentions=order, times=ALWAYS)

    with faults.inject(denied):
        (placed,) = system.sends(an_order(order))
        system.dead(placed, RESERVE)
    shown = json.loads(daybook(system, "dead", "show", placed, "--json").stdout)
    logs = system.cloud.client("logs")
    found = logs.filter_log_events(logGroupName=shown["log_group"], filterPattern=f'"{placed}"')["events"]

    assert any('"failed"' in line["message"] for line in found)
    assert shown["log_group"] in shown["logs"]
    assert f'"{placed}"' in shown["logs"]
    assert daybook(system, "dead", "retry", placed, "--apply").returncode == 0
    system.finishes(placed)


def test_a_refund_that_arrived_before_its_order_is_admitted_after_the_order(system: Deployed) -> None:
    order = unique("late")
    (refund,) = system.sends(a_refund(order))
    assert system.refusals(refund) == {refund: "StreamNotOpen"}

    early = daybook(system, "dead", "retry", refund, "--apply", "--json")
    system.receives(an_order(order))
    done = daybook(system, "dead", "retry", refund, "--apply", "--json")
    system.finishes(refund)

    assert (early.returncode, results(early)) == (1, {f"{refund}@admit": "dead again"})
    assert lines(early)[-1]["failures"][0]["error"] == "StreamNotOpen"
    assert (done.returncode, results(done)) == (0, {f"{refund}@admit": "done"})
    assert system.types(f"order/{order}").count("RefundClaimed") == 1


def test_a_blocked_stream_continues_after_its_dead_event_is_discarded(system: Deployed, faults: Faults) -> None:
    device = a_registered_device(system)
    denied = Fault.denied(function=ORDERED, operation="TransactWriteItems", mentions=device, times=ALWAYS)

    with faults.inject(denied):
        (first,) = system.sends(a_report(device, 97))
        system.dead(first, ORDERED)
        until(lambda: blocked(system, device), what="the stream is blocked")
        others = system.sends(*(a_report(device, 97) for _ in range(3)))
        until(
            lambda: all(system.log_messages(ORDERED, each) for each in others), what="their wake-up messages have ended"
        )
    assert {state(system, each, ORDERED) for each in others} == {None}
    done = daybook(system, "dead", "discard", f"{first}@{ORDERED}", "--reason", "a broken monitor", "--apply")

    assert done.returncode == 0, done.stderr
    until(lambda: {state(system, each, ORDERED) for each in others} == {COMMITTED}, what="the others are committed")
    assert state(system, first, ORDERED) == DISCARDED
    system.finishes(*others)


def test_an_event_that_the_bus_rejected_is_published_after_a_retry(system: Deployed, faults: Faults) -> None:
    sku, order = unique("mug"), unique("unpublished")
    system.receives(stock_received(sku, 2))
    never: Any = {"function": "publish", "operation": "PutEvents", "mentions": order}

    with faults.inject(Fault.partial(0, "MalformedDetail", **never)):
        (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
        assert system.dead(placed, "publish").details["error"] == "MalformedDetail"
    done = daybook(system, "dead", "retry", f"{placed}@publish", "--apply", "--json")
    system.finishes(placed)

    assert (done.returncode, results(done)) == (0, {f"{placed}@publish": "done"}), done.stderr
    assert state(system, placed, "publish") == COMMITTED
    assert system.types(f"order/{order}") == CONFIRMED


def test_ctrl_c_ends_a_retry_with_a_message_and_sent_events_are_still_processed(
    system: Deployed, faults: Faults
) -> None:
    order = unique("interrupted")
    denied = Fault.denied(function=RESERVE, operation="TransactWriteItems", mentions=order, times=ALWAYS)
    with faults.inject(denied):
        (placed,) = system.sends(an_order(order))
        system.dead(placed, RESERVE)

    with paused(system, RESERVE):
        before = in_queue(system, RESERVE)
        command = start(system, "dead", "retry", f"{placed}@{RESERVE}", "--apply")
        until(lambda: in_queue(system, RESERVE) > before, what="the dead letter is sent")
        command.send_signal(signal.SIGINT)
        _, output = command.communicate(timeout=TIMEOUT)
        assert state(system, placed, RESERVE) == DEAD
    system.commits(placed, RESERVE)
    system.finishes(placed)

    assert command.returncode == 130
    assert "Interrupted" in output
    assert "Repeat the command" in output


def start(system: Deployed, *arguments: str) -> subprocess.Popen[str]:
    """Start a command of `daybook` for the local stage."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("daybook")), *arguments, "--stage", "local"],
        env={"PATH": os.environ["PATH"], **system.cloud.reach},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def blocked(system: Deployed, device: str) -> bool:
    key = {"key": {"S": f"{ORDERED}#cursor#device/{device}"}}
    found = system.cloud.client("dynamodb").get_item(TableName=system.connection.names.ledger, Key=key)
    return bool(found.get("Item", {}).get("state", {}).get("S") == "blocked")

"""Decisions of operators about dead letters, on the deployed system and as programs: rejected events are corrected, and
effects with an unknown outcome are resolved.
"""

import json
from pathlib import Path
from typing import Any

from daybook.local.faults import Fault, Faults
from tests.deployed.deployed import CONFIRMED, Deployed, an_order, stock_received
from tests.deployed.hospital.test_equipment import (
    LOW,
    PAGER,
    a_device_that_alarms_at_once,
    a_report,
    alarms,
    pages_about,
)
from tests.deployed.hospital.test_equipment import types_of as types_of_alarm
from tests.deployed.shop.orders import MAIL, a_confirmed_order, bounce, confirmation_event, emails
from tests.deployed.test_commands import daybook
from tests.local.processes import unique, until

WHY = "found out by a test"


def an_email_with_unknown_outcome(system: Deployed, faults: Faults, when: Any) -> tuple[str, str]:
    """An order whose e-mail got no answer, before or after it was sent; and the id of its dead letter."""
    with faults.inject(Fault.timeout(when, function=MAIL, operation="SendEmail")):
        order = a_confirmed_order(system, emailed=False)
        event = confirmation_event(system, order)
        assert system.dead(event, MAIL).details["error"] == "OutcomeUnknown"
    return order, f"{event}@{MAIL}"


def resolve(system: Deployed, dead_letter: str, outcome: str, *options: str) -> Any:
    return daybook(system, "dead", "resolve", dead_letter, "--outcome", outcome, *options)


def test_an_email_that_was_not_sent_is_sent_once_after_its_resolution(system: Deployed, faults: Faults) -> None:
    order, dead_letter = an_email_with_unknown_outcome(system, faults, "before")

    preview = resolve(system, dead_letter, "no-effect")
    assert emails(system, order) == []
    done = resolve(system, dead_letter, "no-effect", "--reason", WHY, "--apply")
    again = resolve(system, dead_letter, "no-effect", "--reason", WHY, "--apply")
    system.commits(dead_letter.partition("@")[0], MAIL)
    system.finishes()

    assert "Nothing was changed" in preview.stdout
    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    assert "is already done" in again.stdout
    assert len(emails(system, order)) == 1
    assert system.types(f"order/{order}") == CONFIRMED


def test_an_email_that_was_sent_is_recorded_and_not_sent_again_and_its_bounce_is_accepted(
    system: Deployed, faults: Faults, tmp_path: Path
) -> None:
    order, dead_letter = an_email_with_unknown_outcome(system, faults, "after")
    (mail,) = emails(system, order)

    templates = json.loads(resolve(system, dead_letter, "took-effect").stdout)
    sent = next(template for template in templates if template["DetailType"] == "EmailSent")
    assert sent["data"]["order_id"] == order
    sent["data"] |= {"email_id": f"{order}.confirmed", "message_id": "0100-by-hand"}
    outcome = tmp_path / "outcome.json"
    outcome.write_text(json.dumps(sent))
    done = resolve(system, dead_letter, "took-effect", "--event", str(outcome), "--reason", WHY, "--apply", "--json")
    bounce(system, order, mail)
    until(lambda: "EmailBounced" in system.types(f"order/{order}"), what="the bounce is recorded")
    system.finishes()

    assert done.returncode == 0, done.stderr
    stream = [each.metadata for each in system.connection.store.stream(f"email/{order}.confirmed")]
    assert [metadata.type for metadata in stream] == ["EmailSent", "EmailBounced"]
    assert (json.loads(done.stdout)["outcome_events"], stream[0].producer) == ([stream[0].id], MAIL)
    assert len(emails(system, order)) == 1
    assert system.trace(f"order/{order}").waiting == 0


def test_a_page_that_was_sent_is_recorded_and_not_sent_again(system: Deployed, faults: Faults) -> None:
    device = a_device_that_alarms_at_once(system)
    with faults.inject(Fault.timeout("after", function=PAGER, operation="Publish")):
        system.sends(a_report(device, LOW))
        until(lambda: alarms(system, device), what="the alarm is raised")
        (alarm,) = alarms(system, device)
        raised = next(system.connection.store.stream(f"alarm/{alarm['id']}")).metadata.id
        system.dead(raised, PAGER)

    template = json.loads(resolve(system, f"{raised}@{PAGER}", "took-effect").stdout)
    assert template["data"]["alarm_id"] == alarm["id"]
    template["data"] |= {"level": 1, "message_id": "by-hand"}
    done = daybook(
        system,
        *("dead", "resolve", f"{raised}@{PAGER}", "--outcome", "took-effect"),
        *("--event", "-", "--reason", WHY, "--apply"),
        given=json.dumps(template),
    )

    assert done.returncode == 0, done.stderr
    assert len(pages_about(system, device)) == 1
    assert types_of_alarm(system, alarm["id"]) == ["EquipmentAlarmRaised", "StaffPaged"]


def test_a_rejected_order_is_corrected_and_is_confirmed_and_shipped_like_any_other(
    system: Deployed, tmp_path: Path
) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 3))
    (rejected,) = system.sends(an_order(order, lines=[(sku, 0)]))
    assert system.refusals(rejected) == {rejected: "ContractBroken"}

    printed = daybook(system, "dead", "edit", rejected)
    corrected = json.loads(printed.stdout)
    corrected["detail"]["data"]["lines"][0]["quantity"] = 2
    file = tmp_path / "corrected.json"
    file.write_text(json.dumps(corrected))
    preview = daybook(system, "dead", "edit", rejected, "--with", str(file))
    assert "Nothing was changed" in preview.stdout
    done = daybook(system, "dead", "edit", rejected, "--with", str(file), "--reason", WHY, "--apply", "--json")
    again = daybook(system, "dead", "edit", rejected, "--with", str(file), "--reason", WHY, "--apply")
    admitted = json.loads(done.stdout)["event"]
    system.finishes(admitted)
    traced = json.loads(daybook(system, "trace", f"order/{order}", "--json").stdout)

    assert "lines.0.quantity" in printed.stderr
    assert "was edited before" in again.stdout
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == (1, 2)
    assert [(event["id"], event["causation_id"]) for event in traced["events"][:1]] == [(admitted, rejected)]


def test_a_corrected_order_that_is_rejected_again_stays_a_dead_letter(system: Deployed) -> None:
    order = unique("order")
    system.receives(an_order(order))
    (rejected,) = system.sends(an_order(order, lines=[("mug", 0)]))
    system.refusals(rejected)

    form = json.loads(daybook(system, "dead", "edit", rejected).stdout)
    form["detail"]["data"]["lines"][0]["quantity"] = 2
    done = daybook(system, "dead", "edit", rejected, "--with", "-", "--reason", WHY, "--apply", given=json.dumps(form))

    assert done.returncode == 1
    assert "StreamAlreadyOpen" in done.stderr
    assert system.refusals(rejected) == {rejected: "ContractBroken"}

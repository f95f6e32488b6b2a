"""What operators decide about dead letters, on the deployed system and by the real command line: what was refused is
mended, and what an effect has left in doubt is resolved.
"""

import json
from pathlib import Path
from typing import Any

from daybook.local.faults import Fault, Faults
from tests.deployed.deployed import CONFIRMED, Deployed, an_order, stock_received, unique
from tests.deployed.test_commands import daybook
from tests.deployed.test_equipment import LOW, PAGER, a_device_at_risk, a_report, alarms, pages_about
from tests.deployed.test_equipment import of as told_of
from tests.deployed.test_shop import MAIL, a_confirmed_order, bounces, confirmed, mails
from tests.local.processes import until

WHY = "found out by a test"


def a_letter_in_doubt(system: Deployed, faults: Faults, when: Any) -> tuple[str, str]:
    """An order whose letter got no answer, before or after it was sent; and how operators call the dead letter."""
    with faults.inject(Fault.timeout(when, function=MAIL, operation="SendEmail")):
        order = a_confirmed_order(system, letter=False)
        event = confirmed(system, order)
        assert system.dead(event, MAIL).details["error"] == "OutcomeUnknown"
    return order, f"{event}@{MAIL}"


def resolve(system: Deployed, letter: str, outcome: str, *options: str) -> Any:
    return daybook(system, "dead", "resolve", letter, "--outcome", outcome, *options)


def test_a_letter_that_was_not_sent_is_sent_once_when_somebody_says_so(system: Deployed, faults: Faults) -> None:
    order, letter = a_letter_in_doubt(system, faults, "before")

    announced = resolve(system, letter, "no-effect")
    assert mails(system, order) == []
    done = resolve(system, letter, "no-effect", "--reason", WHY, "--apply")
    again = resolve(system, letter, "no-effect", "--reason", WHY, "--apply")
    system.commits(letter.partition("@")[0], MAIL)
    system.finishes()

    assert "Nothing was changed" in announced.stdout
    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    assert "is done already" in again.stdout
    assert len(mails(system, order)) == 1
    assert system.types(f"order/{order}") == CONFIRMED


def test_a_letter_that_was_sent_is_told_of_and_not_sent_again_and_its_bounce_is_accepted(
    system: Deployed, faults: Faults, tmp_path: Path
) -> None:
    order, letter = a_letter_in_doubt(system, faults, "after")
    (mail,) = mails(system, order)

    templates = json.loads(resolve(system, letter, "took-effect").stdout)
    sent = next(template for template in templates if template["DetailType"] == "EmailSent")
    assert sent["data"]["order_id"] == order
    sent["data"] |= {"letter_id": f"{order}.confirmed", "message_id": "0100-by-hand"}
    (tmp_path / "told.json").write_text(json.dumps(sent))
    done = resolve(
        system, letter, "took-effect", "--event", str(tmp_path / "told.json"), "--reason", WHY, "--apply", "--json"
    )
    bounces(system, order, mail)
    until(lambda: "EmailBounced" in system.types(f"order/{order}"), what="the bounce is recorded")
    system.finishes()

    assert done.returncode == 0, done.stderr
    stream = [each.metadata for each in system.connection.store.stream(f"letter/{order}.confirmed")]
    assert [metadata.type for metadata in stream] == ["EmailSent", "EmailBounced"]
    assert (json.loads(done.stdout)["told"], stream[0].producer) == ([stream[0].id], MAIL)
    assert len(mails(system, order)) == 1
    assert system.trace(f"order/{order}").waiting == 0


def test_a_page_that_was_sent_is_told_of_and_not_sent_again(system: Deployed, faults: Faults) -> None:
    device = a_device_at_risk(system)
    with faults.inject(Fault.timeout("after", function=PAGER, operation="Publish")):
        system.sends(a_report(device, LOW))
        until(lambda: alarms(system, device), what="the alarm is raised")
        (alarm,) = alarms(system, device)
        raised = next(system.connection.store.stream(f"alarm/{alarm['id']}")).metadata.id
        system.dead(raised, PAGER)

    template = json.loads(resolve(system, f"{raised}@{PAGER}", "took-effect").stdout)
    assert template["data"]["alarm_id"] == alarm["id"]
    template["data"] |= {"level": 1, "message_id": "by-hand"}
    told = daybook(
        system,
        *("dead", "resolve", f"{raised}@{PAGER}", "--outcome", "took-effect"),
        *("--event", "-", "--reason", WHY, "--apply"),
        given=json.dumps(template),
    )

    assert told.returncode == 0, told.stderr
    assert len(pages_about(system, device)) == 1
    assert told_of(system, alarm["id"]) == ["EquipmentAlarmRaised", "StaffPaged"]


def test_a_refused_order_is_mended_and_is_confirmed_and_shipped_like_any_other(
    system: Deployed, tmp_path: Path
) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 3))
    (refused,) = system.sends(an_order(order, lines=[(sku, 0)]))
    assert system.refusals(refused) == {refused: "ContractBroken"}

    printed = daybook(system, "dead", "edit", refused)
    mended = json.loads(printed.stdout)
    mended["detail"]["data"]["lines"][0]["quantity"] = 2
    file = tmp_path / "mended.json"
    file.write_text(json.dumps(mended))
    announced = daybook(system, "dead", "edit", refused, "--with", str(file))
    assert "Nothing was changed" in announced.stdout
    done = daybook(system, "dead", "edit", refused, "--with", str(file), "--reason", WHY, "--apply", "--json")
    again = daybook(system, "dead", "edit", refused, "--with", str(file), "--reason", WHY, "--apply")
    admitted = json.loads(done.stdout)["event"]
    system.finishes(admitted)
    traced = json.loads(daybook(system, "trace", f"order/{order}", "--json").stdout)

    assert "lines.0.quantity" in printed.stderr
    assert "was edited before" in again.stdout
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == (1, 2)
    assert [(event["id"], event["causation_id"]) for event in traced["events"][:1]] == [(admitted, refused)]


def test_a_mended_order_that_is_refused_again_stays_refused(system: Deployed) -> None:
    order = unique("order")
    system.receives(an_order(order))
    (refused,) = system.sends(an_order(order, lines=[("mug", 0)]))
    system.refusals(refused)

    form = json.loads(daybook(system, "dead", "edit", refused).stdout)
    form["detail"]["data"]["lines"][0]["quantity"] = 2
    done = daybook(system, "dead", "edit", refused, "--with", "-", "--reason", WHY, "--apply", given=json.dumps(form))

    assert done.returncode == 1
    assert "StreamAlreadyOpen" in done.stderr
    assert system.refusals(refused) == {refused: "ContractBroken"}

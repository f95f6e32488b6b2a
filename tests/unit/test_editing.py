"""Mending what admit has refused: it is admitted once, and the dead letter goes when it is, whoever is interrupted."""

import json
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.identity import admitted_id
from daybook.contracts.operations import DeadLetterEdited
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.decision import NoAnswer
from daybook.operate.dead_letters.edit import (
    Decided,
    MendedBefore,
    NeverEdited,
    NotMended,
    RefusedAgain,
    edit,
    find,
    finish,
)
from daybook.operate.dead_letters.index import NoSuchDeadLetter
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, Entry
from events.catalogue import CATALOGUE
from tests.unit.builders import from_the_bus, order_data, recorded, sent
from tests.unit.running import Running, outlives, refuses, said
from tests.unit.world import World

WHY = "the checkout sent 0 pieces"
ACCOUNT = "123456789012"


@pytest.fixture
def running(world: World) -> Running:
    return Running(world)


def a_refused(running: Running, body: str | None = None, **envelope: Any) -> str:
    """An event that admit has refused: an order of 0 pieces, unless told. Returns the dead letter's event."""
    known = {entry.event for entry in running.dead()}
    running.arrives(body or sent(order_data(lines=[("mug", 0)]), metadata={"id": "checkout-1"}, **envelope))
    (dead_letter,) = [entry.event for entry in running.dead() if entry.event not in known]
    return dead_letter


def mend(form: str, **data: Any) -> str:
    """The form with these data set right."""
    event = json.loads(form)
    event["detail"]["data"] |= data or {"lines": order_data()["lines"]}
    return json.dumps(event)


def edited(running: Running, dead_letter: str, text: str | None = None, connection: Connection | None = None) -> Any:
    """What the command does."""
    connection = connection or running.connection()
    try:
        refused = find(connection, dead_letter)
    except NoSuchDeadLetter:
        done = finish(connection, dead_letter)
        if done is None:
            raise
        return done
    mended = refused.mended(connection, text or mend(refused.form))
    return edit(connection, refused, mended, WHY, pause=running.pause)


def row(running: Running, event: str) -> Entry:
    found = running.world.ledger.find(event, "admit")
    assert found
    return found


def test_a_refused_event_is_shown_in_the_form_it_came_in_without_the_envelope(running: Running) -> None:
    dead_letter = a_refused(running, time="2026-03-01T12:00:00Z")

    form = json.loads(find(running.connection(), dead_letter).form)

    assert list(form) == ["source", "detail-type", "time", "detail"]
    assert (form["source"], form["detail-type"]) == ("shop.checkout", "OrderPlaced")
    assert form["detail"] == {"data": order_data(lines=[("mug", 0)]), "metadata": {"id": "checkout-1"}}


@pytest.mark.parametrize("body", ["not JSON \u202e at all", '{"an": "object"}', "[1]", '{"detail": {}}'])
def test_what_is_no_event_is_shown_as_it_came(running: Running, body: str) -> None:
    assert find(running.connection(), a_refused(running, body)).form == body


def test_what_a_terminal_does_not_print_is_written_as_json_writes_it(running: Running) -> None:
    data = order_data(lines=[("mug", 0)]) | {"note": "Zoë \u202e \x9b \U000e0001"}
    dead_letter = a_refused(running, sent(data))

    form = find(running.connection(), dead_letter).form

    assert all(each.isprintable() or each == "\n" for each in form)
    assert "Zoë" in form
    assert json.loads(form)["detail"]["data"] == data


def test_a_mended_event_is_admitted_and_the_dead_letter_is_discarded_and_both_are_told_in_one_record(
    running: Running,
) -> None:
    dead_letter = a_refused(running)
    body = row(running, dead_letter).details["body"]

    done = edited(running, dead_letter)

    (fact,) = running.facts()
    assert (fact.metadata.id, fact.metadata.stream, fact.metadata.causation_id) == (
        done.event,
        "order/1001",
        dead_letter,
    )
    assert done.event == admitted_id(ACCOUNT, "shop.checkout", f"edit-{dead_letter}")
    (act,) = running.acts()
    told = said(act)
    assert isinstance(told, DeadLetterEdited)
    assert (told.dead_letter.event, told.dead_letter.error, told.admitted) == (
        dead_letter,
        "ContractBroken",
        done.event,
    )
    entry = row(running, dead_letter)
    assert entry.state == DISCARDED
    assert "dead" not in entry.details
    assert {name: entry.details[name] for name in ("error", "body", "edited_as", "why", "operation")} == {
        "error": "ContractBroken",
        "body": body,
        "edited_as": done.event,
        "why": WHY,
        "operation": told.operation_id,
    }


def test_only_what_was_mended_differs_from_the_message_that_came(running: Running) -> None:
    dead_letter = a_refused(running, id="the-envelope", region="eu-north-1", resources=["arn:1"])
    came = json.loads(row(running, dead_letter).details["body"])
    connection = running.connection()
    refused = find(connection, dead_letter)

    goes = json.loads(refused.mended(connection, mend(refused.form)).body)

    assert goes["detail"]["metadata"] == {"id": f"edit-{dead_letter}", "causation_id": dead_letter}
    assert goes["detail"]["data"] == order_data()
    assert {**goes, "detail": None} == {**came, "detail": None}


def test_what_was_no_event_is_admitted_once_it_is_written_as_one(running: Running) -> None:
    dead_letter = a_refused(running, "order 1001, two mugs please")
    event = {"source": "shop.checkout", "detail-type": "OrderPlaced", "time": "2026-03-01T12:00:00Z"}

    done = edited(running, dead_letter, json.dumps(event | {"detail": {"data": order_data()}}))

    assert [fact.metadata.id for fact in running.facts()] == [done.event]
    assert row(running, dead_letter).state == DISCARDED


def test_a_body_that_is_kept_in_the_bucket_can_be_mended(running: Running) -> None:
    running._deployed.uses("record-dead-letters")  # noqa: SLF001
    running.connection().lambda_.update_function_configuration(
        FunctionName="daybook-test-record-dead-letters", Environment={"Variables": {"DAYBOOK_BODIES_BUCKET": "bodies"}}
    )
    dead_letter = a_refused(running, sent(order_data(note="x" * 250_000), metadata={"id": "checkout-1"}))
    assert "body_key" in row(running, dead_letter).details

    done = edited(running, dead_letter, mend(find(running.connection(), dead_letter).form, note="short"))

    assert [fact.metadata.id for fact in running.facts()] == [done.event]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"detail": {"data": order_data(lines=[("mug", 0)])}}, "lines.0.quantity"),
        ({"detail": {"data": order_data(note="x" * 66_000)}}, "65536 are the limit"),
        ({"detail-type": "OrderPlacd"}, "did you mean OrderPlaced?"),
        ({"source": "shop.unknown"}, "may not send OrderPlaced"),
        ({"time": "yesterday"}, "2026-03-01T09:30:00Z"),
        ({"time": 5}, "not all texts"),
        ({"detail": []}, '{"data": {…}}'),
        ({"detail": {"metadata": 5, "data": order_data()}}, '{"data": {…}}'),
        ({"detail": {"metadata": {"version": 99}, "data": order_data()}}, "unknown version"),
        ({"detail": {"data": order_data(note="\ud800")}}, "not valid Unicode"),
        ({"detail": {"data": order_data(note=float("nan"))}}, "Out of range float values are not JSON compliant"),
        ({"surprise": 1}, "and no others"),
    ],
)
def test_what_would_be_refused_again_is_not_sent(running: Running, change: dict[str, Any], told: str) -> None:
    dead_letter = a_refused(running)
    connection = running.connection()
    refused = find(connection, dead_letter)

    sentence = refuses(lambda: refused.mended(connection, json.dumps(json.loads(refused.form) | change)), NotMended)

    assert told in sentence
    assert running.waiting("admit") == 0


def test_what_is_stored_is_never_edited(running: Running) -> None:
    envelope = recorded()
    running.world.ledger.record_dead(
        Entry(envelope.metadata.id, "place-order", DEAD, clock.now(), details={"body": from_the_bus(envelope)})
    )

    told = refuses(lambda: find(running.connection(), envelope.metadata.id), NeverEdited)

    assert "daybook dead retry" in told


def test_an_event_that_is_refused_again_leaves_the_dead_letter_and_may_be_mended_otherwise(running: Running) -> None:
    running.arrives(sent(order_data("1002")))
    dead_letter = a_refused(running)
    form = find(running.connection(), dead_letter).form

    told = refuses(
        lambda: edited(running, dead_letter, mend(form, order_id="1002", lines=order_data()["lines"])), RefusedAgain
    )
    again = refuses(
        lambda: edited(running, dead_letter, mend(form, order_id="1002", lines=order_data()["lines"])), RefusedAgain
    )

    assert "StreamAlreadyOpen" in told
    assert again == told
    assert (row(running, dead_letter).state, running.acts()) == (DEAD, [])

    done = edited(running, dead_letter)

    assert [fact.metadata.stream for fact in running.facts()] == ["order/1001", "order/1002"]
    assert (row(running, dead_letter).state, row(running, done.event).state) == (DISCARDED, COMMITTED)


def test_the_same_event_is_admitted_once_nothing_is_in_its_way_any_more(running: Running) -> None:
    wish = {"order_id": "1001", "refund_id": "R-1", "amount": {"amount": 500, "currency": "EUR"}}
    dead_letter = a_refused(running, sent({"order_id": "1001"}, type="RefundAsked", source="shop.service-desk"))
    text = mend(find(running.connection(), dead_letter).form, **wish)
    assert "StreamNotOpen" in refuses(lambda: edited(running, dead_letter, text), RefusedAgain)
    running.arrives(sent(order_data("1001")))

    edited(running, dead_letter, text)

    assert [fact.metadata.type for fact in running.facts()] == ["OrderPlaced", "RefundAsked"]
    assert (row(running, dead_letter).state, running.dead()) == (DISCARDED, [])


def test_the_word_on_an_earlier_mending_that_comes_late_is_not_taken_for_the_word_on_this_one(
    running: Running,
) -> None:
    running.arrives(sent(order_data("1002")))
    dead_letter = a_refused(running)
    connection = running.connection()
    refused = find(connection, dead_letter)
    bad = refused.mended(connection, mend(refused.form, order_id="1002", lines=order_data()["lines"]))
    running.put("admit", bad.body)  # by one who was interrupted

    edit(connection, refused, refused.mended(connection, mend(refused.form)), WHY, pause=lambda _: running.turn(most=1))

    assert row(running, dead_letter).state == DISCARDED


def test_nothing_is_set_aside_while_admit_says_nothing(running: Running) -> None:
    dead_letter = a_refused(running)
    connection = running.connection()
    refused = find(connection, dead_letter)
    backoff: list[float] = []

    told = refuses(
        lambda: edit(connection, refused, refused.mended(connection, mend(refused.form)), WHY, pause=backoff.append),
        NoAnswer,
    )

    assert "Repeat the command" in told
    assert sum(backoff) == pytest.approx(60)
    assert row(running, dead_letter).state == DEAD


# Guards: the mended event's id is made from the dead letter, which goes only after the event was admitted.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
def test_whenever_an_edit_is_interrupted_repeating_it_admits_once_and_discards_once(
    running: Running, call: int | str, after: bool
) -> None:
    dead_letter = a_refused(running)
    text = mend(find(running.connection(), dead_letter).form)

    died = outlives(running, lambda connection: edited(running, dead_letter, text, connection), call, after=after)
    done = edited(running, dead_letter, text)

    assert died == (call != 9)
    assert [fact.metadata.id for fact in running.facts()] == [done.event]
    assert [said(act).admitted for act in running.acts()] == [done.event]
    assert (row(running, dead_letter).state, row(running, dead_letter).details["edited_as"]) == (DISCARDED, done.event)
    assert running.dead() == []


# --- events that their contract names by a field ----------------------------------------------------------------------


def transaction(**changes: Any) -> dict[str, Any]:
    return {**CATALOGUE["TransactionPosted"].example, **changes}


def a_refused_transaction(running: Running) -> tuple[str, str]:
    """One whose amount is broken, and the text that mends it."""
    source = CATALOGUE["TransactionPosted"].contract.sources[0]
    dead_letter = a_refused(running, sent(transaction(amount="much"), type="TransactionPosted", source=source))
    return dead_letter, mend(find(running.connection(), dead_letter).form, **transaction())


def test_an_event_that_a_field_names_keeps_its_id_and_only_its_record_is_new(running: Running) -> None:
    dead_letter, text = a_refused_transaction(running)
    sha256 = find(running.connection(), dead_letter).sha256

    done = edited(running, dead_letter, text)

    assert done.event == dead_letter
    assert [fact.metadata.id for fact in running.facts()] == [dead_letter]
    (act,) = running.acts()
    assert (said(act).dead_letter.error, said(act).admitted, said(act).sha256) == (
        "ContractBroken",
        dead_letter,
        sha256,
    )
    assert row(running, dead_letter).state == COMMITTED


# Guards: the note on the dead letter's row, and that its record is the first of its stream.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
def test_whenever_such_an_edit_is_interrupted_repeating_it_admits_once_and_records_once(
    running: Running, call: int | str, after: bool
) -> None:
    dead_letter, text = a_refused_transaction(running)

    died = outlives(running, lambda connection: edited(running, dead_letter, text, connection), call, after=after)
    done = edited(running, dead_letter, text)

    assert died == (call != 12)
    assert [fact.metadata.id for fact in running.facts()] == [dead_letter] == [done.event]
    assert [said(act).admitted for act in running.acts()] == [dead_letter]
    assert running.dead() == []


def test_a_producer_that_was_quicker_is_not_taken_for_the_operator(running: Running) -> None:
    dead_letter, text = a_refused_transaction(running)
    source = CATALOGUE["TransactionPosted"].contract.sources[0]
    connection = running.connection()
    refused = find(connection, dead_letter)
    mended = refused.mended(connection, text)
    other = transaction(merchant_id="another")
    running.arrives(sent(other, type="TransactionPosted", source=source))
    assert row(running, dead_letter).state == COMMITTED

    told = refuses(lambda: edit(connection, refused, mended, WHY, pause=running.pause), Decided)

    assert "nothing was sent" in told
    assert (len(running.facts()), running.acts()) == (1, [])


# --- others at the same dead letter -----------------------------------------------------------------------------------


# Guards: that a discarded id is done for admit.
def test_a_producer_that_sends_the_right_event_afterwards_under_its_own_id_does_not_get_it_in_a_second_time(
    running: Running,
) -> None:
    dead_letter = a_refused(running)
    edited(running, dead_letter)

    running.arrives(sent(order_data("1002"), metadata={"id": "checkout-1"}))

    assert [fact.metadata.stream for fact in running.facts()] == ["order/1001"]
    (refused,) = running.dead()
    assert refused.details["error"] == "IdReused"
    assert "was rejected before, and an operator has corrected it" in refused.details["reason"]
    assert row(running, dead_letter).state == DISCARDED


def test_of_two_who_mend_one_dead_letter_differently_the_second_is_told(running: Running) -> None:
    dead_letter = a_refused(running)
    connection = running.connection()
    refused = find(connection, dead_letter)
    mine, theirs = (
        refused.mended(connection, mend(refused.form, lines=order_data(lines=[("mug", pieces)])["lines"]))
        for pieces in (1, 2)
    )
    running.arrives(theirs.body)  # by one who was interrupted

    told = refuses(lambda: edit(connection, refused, mine, WHY, pause=running.pause), MendedBefore)

    assert f"daybook dead discard {dead_letter}" in told
    assert (len(running.facts()), row(running, dead_letter).state) == (1, DEAD)


def test_of_two_who_mend_one_dead_letter_alike_both_are_told_that_it_is_done(running: Running) -> None:
    dead_letter = a_refused(running)
    text = mend(find(running.connection(), dead_letter).form)
    connection = running.connection()
    refused = find(connection, dead_letter)
    mended = refused.mended(connection, text)
    edited(running, dead_letter, text)

    done = edit(connection, refused, mended, WHY, pause=running.pause)

    assert done.event == row(running, dead_letter).details["edited_as"]
    assert (len(running.facts()), len(running.acts())) == (1, 1)


def test_a_dead_letter_that_somebody_else_has_discarded_meanwhile_stays_as_they_left_it(running: Running) -> None:
    dead_letter = a_refused(running)
    connection = running.connection()
    refused = find(connection, dead_letter)
    running.world.client.update_item(
        TableName=connection.names.ledger,
        Key={"event": {"S": dead_letter}, "consumer": {"S": "admit"}},
        UpdateExpression="SET #state = :discarded REMOVE dead",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":discarded": {"S": DISCARDED}},
    )

    told = refuses(
        lambda: edit(connection, refused, refused.mended(connection, mend(refused.form)), WHY, pause=running.pause),
        Decided,
    )

    assert "no longer the dead letter that was mended" in told
    assert running.acts() == []


def test_a_dead_letter_that_was_refused_again_meanwhile_is_discarded_all_the_same(running: Running) -> None:
    dead_letter = a_refused(running)
    body = row(running, dead_letter).details["body"]
    connection = running.connection()
    refused = find(connection, dead_letter)
    running.arrives(body)

    edit(connection, refused, refused.mended(connection, mend(refused.form)), WHY, pause=running.pause)

    assert (row(running, dead_letter).state, len(running.acts())) == (DISCARDED, 1)


def test_what_a_source_sends_that_does_not_know_the_system_is_mended_in_its_own_form(running: Running) -> None:
    running.world.append(recorded(sent_letter()))
    bounce = {
        "mail": {"headers": [{"name": "X-Daybook-Letter", "value": "1001.confirmed "}]},
        "bounce": {
            "feedbackId": "f-1",
            "timestamp": "2026-03-01T12:00:00Z",
            "bounceType": "Permanent",
            "bounceSubType": "General",
        },
    }
    dead_letter = a_refused(running, sent(type="Email Bounced", source="aws.ses", detail=bounce))
    form = find(running.connection(), dead_letter).form

    done = edited(running, dead_letter, form.replace("1001.confirmed ", "1001.confirmed"))

    assert [fact.metadata.type for fact in running.facts()] == ["EmailSent", "EmailBounced"]
    assert (running.facts()[-1].metadata.id, row(running, dead_letter).state) == (done.event, DISCARDED)


def sent_letter() -> Event:
    email: type[Event] = CATALOGUE["EmailSent"]
    return email.model_validate(email.example)

"""An operator corrects an event that admit rejected. It is admitted once, and its dead letter is discarded then."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.contracts.identity import admitted_id
from daybook.contracts.operations import DeadLetterEdited
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.decision import NoAnswer, RowNotProven
from daybook.operate.dead_letters.discard import DiscardOperation
from daybook.operate.dead_letters.edit import (
    AlreadyDecided,
    EditConflict,
    EventIsStored,
    InvalidCorrection,
    RejectedAgain,
    edit,
    find,
    finish,
)
from daybook.operate.dead_letters.index import NoSuchDeadLetter
from daybook.store.attributes import pack_item
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, LedgerEntry
from daybook.testing.world import NAMES, World
from tests.application.builders import from_the_bus, loan_data, recorded, sent
from tests.application.contracts.books import BooksCounted
from tests.application.contracts.reminders import ReminderSent
from tests.unit.running import Running, dies_at, error_of, operation_event

WHY = "the desk sent 0 pieces"
ACCOUNT = "123456789012"


@pytest.fixture
def running(world: World, library: None) -> Running:  # noqa: ARG001 - the application that commands serve
    return Running(world)


def a_rejected_event(running: Running, body: str | None = None, **envelope: Any) -> str:
    """An event that admit rejected, by default a loan of 0 copies. Returns the event id of its dead letter."""
    known = {entry.event for entry in running.dead()}
    running.receives(body or sent(loan_data(books=[("emma", 0)]), metadata={"id": "desk-1"}, **envelope))
    (dead_letter,) = [entry.event for entry in running.dead() if entry.event not in known]
    return dead_letter


def correct(form: str, **data: Any) -> str:
    """The form with corrected data."""
    event = json.loads(form)
    event["detail"]["data"] |= data or {"books": loan_data()["books"]}
    return json.dumps(event)


def edited(running: Running, dead_letter: str, text: str | None = None, connection: Connection | None = None) -> Any:
    """What the command `daybook dead edit` does."""
    connection = connection or running.connection()
    try:
        rejected = find(connection, dead_letter)
    except NoSuchDeadLetter:
        done = finish(connection, dead_letter)
        if done is None:
            raise
        return done
    corrected = rejected.corrected(connection, text or correct(rejected.form))
    return edit(connection, rejected, corrected, WHY, pause=running.pause)


def plant(running: Running, row: Mapping[str, Any]) -> None:
    """Write a row into the ledger, as somebody with rights to the table could."""
    running.world.client.put_item(TableName=NAMES.ledger, Item=pack_item({"at": clock.now(), **row}))


def row(running: Running, event: str) -> LedgerEntry:
    found = running.world.ledger.find(event, "admit")
    assert found
    return found


def test_a_rejected_event_is_shown_as_the_producer_sent_it_without_the_envelope(running: Running) -> None:
    dead_letter = a_rejected_event(running, time="2026-03-01T12:00:00Z")

    form = json.loads(find(running.connection(), dead_letter).form)

    assert list(form) == ["source", "detail-type", "time", "detail"]
    assert (form["source"], form["detail-type"]) == ("library.desk", "LoanRequested")
    assert form["detail"] == {"data": loan_data(books=[("emma", 0)]), "metadata": {"id": "desk-1"}}


@pytest.mark.parametrize("body", ["not JSON \u202e at all", '{"an": "object"}', "[1]", '{"detail": {}}'])
def test_a_body_that_is_not_an_event_is_shown_unchanged(running: Running, body: str) -> None:
    assert find(running.connection(), a_rejected_event(running, body)).form == body


def test_characters_that_a_terminal_does_not_print_are_shown_as_json_escapes(running: Running) -> None:
    data = loan_data(books=[("emma", 0)]) | {"note": "Zoë \u202e \x9b \U000e0001"}
    dead_letter = a_rejected_event(running, sent(data))

    form = find(running.connection(), dead_letter).form

    assert all(each.isprintable() or each == "\n" for each in form)
    assert "Zoë" in form
    assert json.loads(form)["detail"]["data"] == data


def test_a_corrected_event_is_admitted_its_dead_letter_is_discarded_and_one_operation_records_both(
    running: Running,
) -> None:
    dead_letter = a_rejected_event(running)
    body = row(running, dead_letter).details["body"]

    done = edited(running, dead_letter)

    (event,) = running.business_events()
    assert (event.metadata.id, event.metadata.stream, event.metadata.causation_id) == (
        done.event,
        "loan/1001",
        dead_letter,
    )
    assert done.event == admitted_id(ACCOUNT, "library.desk", f"edit-{dead_letter}")
    (operation,) = running.operations()
    edit_event = operation_event(operation)
    assert isinstance(edit_event, DeadLetterEdited)
    assert (edit_event.dead_letter.event, edit_event.dead_letter.error, edit_event.admitted) == (
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
        "operation": edit_event.operation_id,
    }


def test_only_the_corrections_differ_from_the_original_message(running: Running) -> None:
    dead_letter = a_rejected_event(running, id="the-envelope", region="eu-north-1", resources=["arn:1"])
    came = json.loads(row(running, dead_letter).details["body"])
    connection = running.connection()
    rejected = find(connection, dead_letter)

    goes = json.loads(rejected.corrected(connection, correct(rejected.form)).body)

    assert goes["detail"]["metadata"] == {"id": f"edit-{dead_letter}", "causation_id": dead_letter}
    assert goes["detail"]["data"] == loan_data()
    assert {**goes, "detail": None} == {**came, "detail": None}


def test_a_body_that_is_not_an_event_can_be_replaced_by_an_event(running: Running) -> None:
    dead_letter = a_rejected_event(running, "order 1001, two mugs please")
    event = {"source": "library.desk", "detail-type": "LoanRequested", "time": "2026-03-01T12:00:00Z"}

    done = edited(running, dead_letter, json.dumps(event | {"detail": {"data": loan_data()}}))

    assert [event.metadata.id for event in running.business_events()] == [done.event]
    assert row(running, dead_letter).state == DISCARDED


def test_an_event_without_a_region_can_be_replaced_by_a_whole_one(running: Running) -> None:
    dead_letter = a_rejected_event(running, region=None)
    event = {"source": "library.desk", "detail-type": "LoanRequested", "time": "2026-03-01T12:00:00Z"}

    done = edited(running, dead_letter, json.dumps(event | {"detail": {"data": loan_data()}}))

    assert [event.metadata.id for event in running.business_events()] == [done.event]


def test_a_body_in_the_bucket_can_be_corrected(running: Running) -> None:
    running.deployed.uses("record-dead-letters")
    running.connection().lambda_.update_function_configuration(
        FunctionName="daybook-test-record-dead-letters", Environment={"Variables": {"DAYBOOK_BODIES_BUCKET": "bodies"}}
    )
    dead_letter = a_rejected_event(running, sent(loan_data(note="x" * 250_000), metadata={"id": "desk-1"}))
    assert "body_key" in row(running, dead_letter).details

    done = edited(running, dead_letter, correct(find(running.connection(), dead_letter).form, note="short"))

    assert [event.metadata.id for event in running.business_events()] == [done.event]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"detail": {"data": loan_data(books=[("emma", 0)])}}, "books.0.copies"),
        ({"detail": {"data": loan_data(note="x" * 66_000)}}, "the limit is 65536"),
        ({"detail-type": "LoanRequestd"}, "did you mean LoanRequested?"),
        ({"source": "shop.unknown"}, "may not send LoanRequested"),
        ({"time": "yesterday"}, "2026-03-01T09:30:00Z"),
        ({"time": 5}, "not all non-empty strings"),
        ({"detail": []}, '{"data": {…}}'),
        ({"detail": {"metadata": 5, "data": loan_data()}}, '{"data": {…}}'),
        ({"detail": {"metadata": {"version": 99}, "data": loan_data()}}, "unknown version"),
        ({"detail": {"data": loan_data(note="\ud800")}}, "not valid Unicode"),
        ({"detail": {"data": loan_data(note=float("nan"))}}, "Out of range float values are not JSON compliant"),
        ({"surprise": 1}, "exactly the fields"),
    ],
)
def test_a_correction_that_admit_would_reject_is_not_sent(
    running: Running, change: dict[str, Any], expected: str
) -> None:
    dead_letter = a_rejected_event(running)
    connection = running.connection()
    rejected = find(connection, dead_letter)

    error = error_of(
        lambda: rejected.corrected(connection, json.dumps(json.loads(rejected.form) | change)), InvalidCorrection
    )

    assert expected in error
    assert running.waiting("admit") == 0


def test_a_stored_event_cannot_be_edited(running: Running) -> None:
    envelope = recorded()
    running.world.ledger.record_dead(
        LedgerEntry(envelope.metadata.id, "open-loan", DEAD, clock.now(), details={"body": from_the_bus(envelope)})
    )

    error = error_of(lambda: find(running.connection(), f"{envelope.metadata.id}@open-loan"), EventIsStored)

    assert "daybook dead retry" in error


def test_a_correction_that_is_rejected_keeps_the_dead_letter_and_another_correction_is_possible(
    running: Running,
) -> None:
    running.receives(sent(loan_data("1002")))
    dead_letter = a_rejected_event(running)
    form = find(running.connection(), dead_letter).form

    error = error_of(
        lambda: edited(running, dead_letter, correct(form, loan_id="1002", books=loan_data()["books"])), RejectedAgain
    )
    again = error_of(
        lambda: edited(running, dead_letter, correct(form, loan_id="1002", books=loan_data()["books"])), RejectedAgain
    )

    assert "StreamAlreadyOpen" in error
    assert again == error
    assert (row(running, dead_letter).state, running.operations()) == (DEAD, [])

    done = edited(running, dead_letter)

    assert [event.metadata.stream for event in running.business_events()] == ["loan/1001", "loan/1002"]
    assert (row(running, dead_letter).state, row(running, done.event).state) == (DISCARDED, COMMITTED)


def test_the_same_correction_is_admitted_after_its_obstacle_is_gone(running: Running) -> None:
    dead_letter = a_rejected_event(running, sent({"loan_id": "1001"}, type="LoanExtended"))
    text = correct(find(running.connection(), dead_letter).form, extension_id="E-1", days=14)
    assert "StreamNotOpen" in error_of(lambda: edited(running, dead_letter, text), RejectedAgain)
    running.receives(sent(loan_data("1001")))

    edited(running, dead_letter, text)

    assert [event.metadata.type for event in running.business_events()] == ["LoanRequested", "LoanExtended"]
    assert (row(running, dead_letter).state, running.dead()) == (DISCARDED, [])


def test_a_late_answer_to_an_earlier_correction_is_not_taken_as_the_answer_to_this_one(
    running: Running,
) -> None:
    running.receives(sent(loan_data("1002")))
    dead_letter = a_rejected_event(running)
    connection = running.connection()
    rejected = find(connection, dead_letter)
    bad = rejected.corrected(connection, correct(rejected.form, loan_id="1002", books=loan_data()["books"]))
    running.put("admit", bad.body)  # by an interrupted command

    edit(
        connection,
        rejected,
        rejected.corrected(connection, correct(rejected.form)),
        WHY,
        pause=lambda _: running.process_all(most=1),
    )

    assert row(running, dead_letter).state == DISCARDED


def test_the_dead_letter_stays_if_admit_does_not_answer(running: Running) -> None:
    dead_letter = a_rejected_event(running)
    connection = running.connection()
    rejected = find(connection, dead_letter)
    backoff: list[float] = []

    error = error_of(
        lambda: edit(
            connection, rejected, rejected.corrected(connection, correct(rejected.form)), WHY, pause=backoff.append
        ),
        NoAnswer,
    )

    assert "Repeat the command" in error
    assert sum(backoff) == pytest.approx(60)
    assert row(running, dead_letter).state == DEAD


# Guards: the id of the corrected event is derived from the dead letter, which is discarded only after the admission.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
def test_an_interrupted_edit_that_is_repeated_admits_once_and_discards_once(
    running: Running, call: int | str, after: bool
) -> None:
    dead_letter = a_rejected_event(running)
    text = correct(find(running.connection(), dead_letter).form)

    died = dies_at(running, lambda connection: edited(running, dead_letter, text, connection), call, after=after)
    done = edited(running, dead_letter, text)

    assert died == (call != 11)
    assert [event.metadata.id for event in running.business_events()] == [done.event]
    assert [operation_event(operation).admitted for operation in running.operations()] == [done.event]
    assert (row(running, dead_letter).state, row(running, dead_letter).details["edited_as"]) == (DISCARDED, done.event)
    assert running.dead() == []


# --- events that are identified by a field ----------------------------------------------------------------------------


def a_count(**changes: Any) -> str:
    """The message with an event whose contract has a field for the producer's id."""
    return sent({**BooksCounted.example, **changes}, type="BooksCounted")


def a_rejected_count(running: Running) -> tuple[str, str]:
    """A dead letter with an invalid number, and the text that corrects it."""
    dead_letter = a_rejected_event(running, a_count(copies="many"))
    return dead_letter, correct(find(running.connection(), dead_letter).form, copies=3)


def test_an_event_that_is_identified_by_a_field_keeps_its_id(running: Running) -> None:
    dead_letter, text = a_rejected_count(running)
    sha256 = find(running.connection(), dead_letter).sha256

    done = edited(running, dead_letter, text)

    assert done.event == dead_letter
    assert [event.metadata.id for event in running.business_events()] == [dead_letter]
    (operation,) = running.operations()
    assert (
        operation_event(operation).dead_letter.error,
        operation_event(operation).admitted,
        operation_event(operation).sha256,
    ) == (
        "ContractBroken",
        dead_letter,
        sha256,
    )
    assert row(running, dead_letter).state == COMMITTED


# Guards: the note in the dead letter's row, and that the operation's event is the first one of its stream.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
def test_an_interrupted_edit_of_an_event_identified_by_a_field_admits_once_and_records_once(
    running: Running, call: int | str, after: bool
) -> None:
    dead_letter, text = a_rejected_count(running)

    died = dies_at(running, lambda connection: edited(running, dead_letter, text, connection), call, after=after)
    done = edited(running, dead_letter, text)

    assert died == (call != 14)
    assert [event.metadata.id for event in running.business_events()] == [dead_letter] == [done.event]
    assert [operation_event(operation).admitted for operation in running.operations()] == [dead_letter]
    assert running.dead() == []


def test_an_event_that_the_producer_has_sent_meanwhile_is_not_taken_as_the_operators(running: Running) -> None:
    dead_letter, text = a_rejected_count(running)
    connection = running.connection()
    rejected = find(connection, dead_letter)
    corrected = rejected.corrected(connection, text)
    running.receives(a_count(copies=4))
    assert row(running, dead_letter).state == COMMITTED

    error = error_of(lambda: edit(connection, rejected, corrected, WHY, pause=running.pause), AlreadyDecided)

    assert "nothing was sent" in error
    assert (len(running.business_events()), running.operations()) == (1, [])


# --- several people and one dead letter -------------------------------------------------------------------------------


# Guards: admit treats a discarded id as done.
def test_a_producer_that_later_sends_a_correct_event_with_its_own_id_does_not_cause_a_second_admission(
    running: Running,
) -> None:
    dead_letter = a_rejected_event(running)
    edited(running, dead_letter)

    running.receives(sent(loan_data("1002"), metadata={"id": "desk-1"}))

    assert [event.metadata.stream for event in running.business_events()] == ["loan/1001"]
    (rejected,) = running.dead()
    assert rejected.details["error"] == "IdReused"
    assert "was rejected before, and an operator has corrected it" in rejected.details["reason"]
    assert row(running, dead_letter).state == DISCARDED


def test_of_two_different_corrections_of_one_dead_letter_the_second_one_fails(running: Running) -> None:
    dead_letter = a_rejected_event(running)
    connection = running.connection()
    rejected = find(connection, dead_letter)
    mine, theirs = (
        rejected.corrected(connection, correct(rejected.form, books=loan_data(books=[("emma", pieces)])["books"]))
        for pieces in (1, 2)
    )
    running.receives(theirs.body)  # by an interrupted command

    error = error_of(lambda: edit(connection, rejected, mine, WHY, pause=running.pause), EditConflict)

    assert f"daybook dead discard {dead_letter}" in error
    assert (len(running.business_events()), row(running, dead_letter).state) == (1, DEAD)


def test_of_two_equal_corrections_of_one_dead_letter_both_succeed(running: Running) -> None:
    dead_letter = a_rejected_event(running)
    text = correct(find(running.connection(), dead_letter).form)
    connection = running.connection()
    rejected = find(connection, dead_letter)
    corrected = rejected.corrected(connection, text)
    edited(running, dead_letter, text)

    done = edit(connection, rejected, corrected, WHY, pause=running.pause)

    assert done.event == row(running, dead_letter).details["edited_as"]
    assert (len(running.business_events()), len(running.operations())) == (1, 1)


def test_a_dead_letter_that_was_discarded_meanwhile_is_not_changed(running: Running) -> None:
    dead_letter = a_rejected_event(running)
    connection = running.connection()
    rejected = find(connection, dead_letter)
    list(DiscardOperation(connection, WHY).run([rejected.dead_letter]))

    error = error_of(
        lambda: edit(
            connection, rejected, rejected.corrected(connection, correct(rejected.form)), WHY, pause=running.pause
        ),
        AlreadyDecided,
    )

    assert "is no longer the one that you edited" in error
    assert [operation.metadata.type for operation in running.operations()] == ["DeadLettersDiscarded"]


# Guards: the check in `finish`.
def test_a_planted_decision_is_not_taken_as_an_earlier_edit(running: Running) -> None:
    dead_letter = a_rejected_event(running)
    plant(running, {"key": f"admit#{dead_letter}", "state": DISCARDED, "edited_as": "another"})

    assert dead_letter in error_of(lambda: edited(running, dead_letter), RowNotProven)


# Guards: the check in `_is_admitted`. Otherwise the dead letter would be discarded, and no event admitted.
def test_a_planted_row_is_not_taken_as_the_admission_of_the_corrected_event(running: Running) -> None:
    dead_letter = a_rejected_event(running)
    rejected = find(running.connection(), dead_letter)
    corrected = rejected.corrected(running.connection(), correct(rejected.form))
    planted = {"key": f"admit#{corrected.event}", "state": COMMITTED, "content_hash": corrected.content}
    plant(running, planted)

    assert corrected.event in error_of(lambda: edited(running, dead_letter), RowNotProven)
    assert row(running, dead_letter).state == DEAD

    running.world.client.delete_item(TableName=NAMES.ledger, Key=pack_item({"key": planted["key"]}))
    assert edited(running, dead_letter).event == corrected.event
    assert [event.metadata.id for event in running.business_events()] == [corrected.event]


def test_a_dead_letter_that_was_rejected_again_meanwhile_is_discarded(running: Running) -> None:
    dead_letter = a_rejected_event(running)
    body = row(running, dead_letter).details["body"]
    connection = running.connection()
    rejected = find(connection, dead_letter)
    running.receives(body)

    edit(connection, rejected, rejected.corrected(connection, correct(rejected.form)), WHY, pause=running.pause)

    assert (row(running, dead_letter).state, len(running.operations())) == (DISCARDED, 1)


def test_an_event_with_a_foreign_format_is_edited_in_that_format(
    running: Running,
) -> None:
    running.world.append(recorded(ReminderSent.model_validate(ReminderSent.example)))
    bounce = {"id": "b-1", "tag": "1001.first ", "reason": "no such mailbox"}
    dead_letter = a_rejected_event(running, sent(type="Message Bounced", source="mail.example", detail=bounce))
    form = find(running.connection(), dead_letter).form

    done = edited(running, dead_letter, form.replace("1001.first ", "1001.first"))

    assert [event.metadata.type for event in running.business_events()] == ["ReminderSent", "ReminderBounced"]
    assert (running.business_events()[-1].metadata.id, row(running, dead_letter).state) == (done.event, DISCARDED)


def test_a_card_number_that_was_removed_must_be_replaced(running: Running) -> None:
    dead_letter = a_rejected_event(running, sent(loan_data(card="4111111111111111"), metadata={"id": "desk-1"}))
    connection = running.connection()
    rejected = find(connection, dead_letter)
    assert row(running, dead_letter).details["error"] == "CardNumber"

    with pytest.raises(InvalidCorrection, match="put the payment provider's token in its place"):
        rejected.corrected(connection, rejected.form)
    with pytest.raises(InvalidCorrection, match=r"data\.card contains a card number"):
        rejected.corrected(connection, correct(rejected.form, card="4111111111111111"))

    done = edited(running, dead_letter, correct(rejected.form, card="pm_card_visa"))
    assert [event.metadata.id for event in running.business_events()] == [done.event]


def test_an_unknown_field_does_not_make_a_corrected_event_another_one(running: Running) -> None:
    dead_letter = a_rejected_event(running)
    text = correct(find(running.connection(), dead_letter).form, books=loan_data()["books"], note="unknown")

    done = edited(running, dead_letter, text)

    assert row(running, dead_letter).details["edited_as"] == done.event

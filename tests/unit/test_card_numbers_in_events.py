"""A card number that a producer sends is neither stored nor logged, whichever way its message dies."""

import json
import re
from typing import Any

import boto3
import pytest

from daybook.contracts.card_numbers import REMOVED, has_card_number
from daybook.contracts.card_search import removed_from
from daybook.testing.world import REGION, World
from tests.application.builders import Message, from_the_bus, loan_data, recorded, sent
from tests.application.services.loans import open_loan
from tests.unit.contracts import BoxSent, RecordSent
from tests.unit.dead_letters import record

CARD = "4111 1111 1111 1111"
CODE = "987"
# Half of the number, with any separator. Fewer digits are in times and ids too.
PART_OF_CARD = re.compile(r"1111\W?1111")


def a_record(**resource: Any) -> str:
    return sent({"record_id": "r1", "resource": resource}, type="RecordSent", source="records")


ATTACKS = {
    "an unknown field": ("data.…", sent(loan_data(payment=f"{CARD} {CODE}"))),
    "an unknown field, as a number": ("data.…", sent(loan_data(payment=int(CARD.replace(" ", "")), cvc=CODE))),
    "an unknown field at depth": ("data.….….0", sent(loan_data(a={"b": [CARD]}))),
    "a name": ("data.reader.name", sent(loan_data(reader={"name": f"Ada {CARD}/{CODE}", "email": "ada@example.com"}))),
    "the id of the stream": ("data.loan_id", sent(loan_data("4111-1111-1111-1111"))),
    "the correlation id": ("metadata.correlation_id", sent(metadata={"correlation_id": "4111111111111111"})),
    "the causation id": ("metadata.causation_id", sent(metadata={"causation_id": "4111-1111-1111-1111"})),
    "the id": ("metadata.id", sent(metadata={"id": CARD})),
    "a key": ("data.…", sent(loan_data() | {CARD: CODE})),
    "a note that is kept": ("data.resource.….0.…", a_record(note=[{"text": f"pays by {CARD}, cvc {CODE}"}])),
    "the source": ("source", sent(source=f"shop {CARD}")),
    "a resource": ("resources.0", sent(resources=[CARD])),
}


# Guards: the search in examination.py.
@pytest.mark.parametrize(("path", "body"), ATTACKS.values(), ids=ATTACKS)
def test_an_event_with_a_card_number_is_rejected_and_nothing_keeps_or_logs_the_number(
    world: World, capsys: pytest.CaptureFixture[str], path: str, body: str
) -> None:
    world.knows(RecordSent)
    assert has_card_number(body)

    assert world.admit(body) == []

    assert world.recorded() == []
    (dead_letter,) = world.dead_letters()
    assert dead_letter.error == "CardNumber"
    assert dead_letter.attributes["reason"].startswith(f"{path} contains a card number")
    assert record(dead_letter.body, of="admit", attributes=dead_letter.attributes) == []
    (entry,) = world.items("ledger")
    assert REMOVED in entry["body"]
    output = capsys.readouterr()
    for text in (json.dumps(dead_letter.attributes), str(world.items("ledger")), output.out, output.err):
        assert not PART_OF_CARD.search(text)
        assert f"{CODE} " not in text


@pytest.mark.parametrize(
    "body",
    [
        f'{{"card": "{CARD}", "cvc": "{CODE}"',
        sent(loan_data(payment=CARD, cvc=CODE))[:-1],
        sent(loan_data(payment=CARD, cvc=CODE)).replace('"loan_id"', '"loan_id": 1, "loan_id"'),
        '{"card": "\\u0664\\u0661\\u0661\\u0661111111111111", "cvv": 987, ',
    ],
    ids=["half of JSON", "an event without its end", "a key twice", "escaped digits"],
)
def test_what_is_not_valid_json_is_kept_without_the_card_number(
    world: World, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    world.admit(body)

    (dead_letter,) = world.dead_letters()
    assert dead_letter.error in {"NotJson", "DuplicateKey"}
    assert REMOVED in dead_letter.body
    assert not PART_OF_CARD.search(dead_letter.body)
    assert f'"{CODE}"' not in dead_letter.body
    assert not PART_OF_CARD.search(capsys.readouterr().out)


# Guards: the search in record_dead_letters.py.
@pytest.mark.parametrize("attributes", [{}, {"ERROR_CODE": "NO_PERMISSIONS"}], ids=["moved by SQS", "by EventBridge"])
@pytest.mark.parametrize("large", [False, True])
def test_a_message_that_aws_has_moved_is_kept_without_its_card_number(
    world: World, capsys: pytest.CaptureFixture[str], attributes: dict[str, str], large: bool
) -> None:
    bucket = boto3.client("s3", region_name=REGION)
    bucket.create_bucket(Bucket="bodies", CreateBucketConfiguration={"LocationConstraint": REGION})
    stream = "loan/4111111111111111"
    metadata = {"id": "4111111111111111", "stream": stream, "sequence": 1, "type": CARD}
    body = json.dumps({"detail": {"metadata": metadata, "data": {"x": "y" * (300_000 if large else 1)}}})

    assert record(body, attributes=attributes) == []

    (entry,) = world.items("ledger")
    kept = bucket.get_object(Bucket="bodies", Key=entry["body_key"])["Body"].read().decode() if large else entry["body"]
    assert REMOVED in kept
    for text in (kept, str(entry), capsys.readouterr().out):
        assert not PART_OF_CARD.search(text)


# Guards: the search in consumers/dead_letter.py, and the one in the log's lines.
def test_a_message_that_a_consumer_cannot_process_is_sent_and_logged_without_its_card_number(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = from_the_bus(recorded(stream="loan/4111111111111111", correlation_id=CARD, data="{}"))

    world.deliver(open_loan.handler, Message(broken), Message(broken[:-1]))

    bodies = [dead_letter.body for dead_letter in world.dead_letters()]
    assert len(bodies) == 2
    assert all(REMOVED in body and not PART_OF_CARD.search(body) for body in bodies)
    output = capsys.readouterr().out
    assert '"dead"' in output
    assert not PART_OF_CARD.search(output)


def test_an_unknown_field_is_not_stored_and_a_resend_with_it_is_a_duplicate(world: World) -> None:
    metadata = {"id": "p-1"}
    world.admit(sent(loan_data(note="secret", cvc=CODE), metadata=metadata))
    nested = loan_data()
    nested["books"][0]["color"] = "red"
    nested["reader"]["phone"] = "1"

    world.admit(sent(loan_data(other=1), metadata=metadata), sent(nested, metadata=metadata))

    (event,) = world.recorded()
    assert json.loads(event.data) == loan_data()
    assert world.dead_letters() == []


def test_a_resend_with_another_known_field_is_rejected(world: World) -> None:
    world.admit(sent(metadata={"id": "p-1"}), sent(loan_data(card="pm_1"), metadata={"id": "p-1"}))

    assert [dead_letter.error for dead_letter in world.dead_letters()] == ["IdReused"]


def test_a_part_that_keeps_unknown_fields_is_stored_whole(world: World) -> None:
    world.knows(RecordSent)
    resource = {"note": [{"text": "x"}], "identifier": [{"value": "4111111111111111", "extension": {"a": 1}}]}

    world.admit(sent({"record_id": "r1", "resource": resource, "note": 1}, type="RecordSent", source="records"))

    (event,) = world.recorded()
    assert json.loads(event.data) == {"record_id": "r1", "resource": resource}


def test_an_event_of_an_older_version_is_stored_in_the_newest_without_unknown_fields(world: World) -> None:
    world.knows(BoxSent)

    world.admit(sent({"box_id": "p1", "number": "4111111111111111", "x": 1}, type="BoxSent", source="boxes"))

    # Guards: numeric ids apply to the newest version only; a field of an older one is searched.
    assert [dead_letter.error for dead_letter in world.dead_letters()] == ["CardNumber"]
    world.admit(sent({"box_id": "p1", "number": "17", "x": 1}, type="BoxSent", source="boxes"))
    (event,) = world.recorded()
    assert (event.metadata.version, json.loads(event.data)) == (2, {"box_id": "p1", "tracking_number": "17"})


def test_a_numeric_id_is_accepted_and_stays_in_a_dead_letter_of_admit(world: World) -> None:
    world.knows(BoxSent)
    data = {"box_id": "p1", "tracking_number": "4111111111111111"}

    def a_box(**other: Any) -> str:
        return sent(data | other, type="BoxSent", source="boxes", metadata={"version": 2})

    world.admit(a_box(), a_box(box_id=1))

    assert len(world.recorded()) == 1
    (dead_letter,) = world.dead_letters()
    record(dead_letter.body, of="admit", attributes=dead_letter.attributes)
    assert [item["body"] for item in world.items("ledger") if item["state"] == "dead"] == [dead_letter.body]
    assert json.loads(dead_letter.body)["detail"]["data"] == data | {"box_id": 1}


def test_all_values_of_a_key_that_occurs_twice_stay_and_numbers_become_texts() -> None:
    body = '{"a": 4111111111111111, "a": [1, {"cvc": 123, "n": 4.111111111111111e15}], "b": {}}'

    assert removed_from(body) == (
        f'{{"a": "{REMOVED}", "a": [1, {{"cvc": "{REMOVED}", "n": "{REMOVED}"}}], "b": {{}}}}'
    )


def test_a_message_without_a_card_number_stays_byte_for_byte() -> None:
    body = '{"a" : 1.0,\n"b": "\\u0664",  "a": null}'

    assert removed_from(body) == body

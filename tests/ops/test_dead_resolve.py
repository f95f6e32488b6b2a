"""`daybook dead resolve`: its output; its effect is tested in tests/unit."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.consumers.effect_records import EffectRecords
from daybook.contracts.envelope import Envelope
from daybook.operate.program import app
from daybook.store.ledger_keys import split
from events.catalogue import CATALOGUE
from tests.ops.interruption import interrupted_when
from tests.ops.world import World

MAIL = "mail-refunded"
KEY = "email/{order_id}/refunded/{refund_id}"
PAY = "refund-order"


def resolve(dead_letter: Envelope, outcome: str, *options: str, given: str = "") -> Any:
    return CliRunner().invoke(
        app, ["dead", "resolve", dead_letter.metadata.id, "--outcome", outcome, *options], input=given
    )


def with_unknown_outcome(
    world: World, consumer: str, event_type: str, idempotency_key: str, *emits: str, can_query: bool
) -> Envelope:
    """An event whose effect was attempted by a process that was killed."""
    world.uses(
        consumer,
        kind="effect",
        event=event_type,
        emits=list(emits),
        idempotency_key=idempotency_key,
        can_query=can_query,
    )
    contract = CATALOGUE[event_type]
    stream = contract.model_validate(contract.example).stream
    event = world.recorded(event_type, stream, data=json.dumps(contract.example), producer="payments")
    world.died(event, consumer, "OutcomeUnknown", reason="nobody knows")
    attempts = EffectRecords(world.connection.dynamodb, world.connection.ledger, consumer)
    attempts.begin(idempotency_key.format(**contract.example), cause=event.metadata.id, seconds=-120)
    return event


@pytest.fixture
def dead_letter(world: World) -> Envelope:
    """A dead letter of a refund with an unknown outcome."""
    return with_unknown_outcome(world, MAIL, "PaymentRefunded", KEY, "EmailSent", "EmailRefused", can_query=False)


def test_templates_of_the_outcome_events_are_printed(dead_letter: Envelope) -> None:
    result = resolve(dead_letter, "took-effect")

    assert result.exit_code == 0, result.output
    sent, refused = json.loads(result.stdout)
    assert sent["DetailType"] == "EmailSent"
    assert refused["DetailType"] == "EmailRefused"
    assert sent["data"]["order_id"] == json.loads(dead_letter.data)["order_id"]
    assert sent["data"]["message_id"].startswith("FILL IN, for example ")
    assert "--event FILE" in result.stderr
    assert "--no-event" in result.stderr


def test_personal_data_is_hidden_in_a_template_and_filled_in_from_the_event(world: World) -> None:
    dead_letter = with_unknown_outcome(
        world, PAY, "RefundRequested", "refund/{order_id}/{refund_id}", "PaymentRefunded", can_query=True
    )
    world.recorded("PaymentSucceeded", "payment/1001")

    template = json.loads(resolve(dead_letter, "took-effect").stdout)
    template["data"]["provider_id"] = "re_1"
    done = resolve(dead_letter, "took-effect", "--event", "-", "--reason", "why", "--apply", given=json.dumps(template))

    customer = json.loads(dead_letter.data)["customer"]
    assert customer["name"] not in json.dumps(template)
    assert template["data"]["customer"]["name"] == template["data"]["customer"]["email"] == "•••"
    assert done.exit_code == 0, done.output
    assert customer["name"] not in done.output
    *_, outcome = world.connection.store.stream("payment/1001")
    assert outcome.metadata.type == "PaymentRefunded"
    assert json.loads(outcome.data)["customer"]["name"] == customer["name"]


def test_for_a_payment_the_command_recommends_a_retry(world: World) -> None:
    dead_letter = with_unknown_outcome(
        world, PAY, "RefundRequested", "refund/{order_id}/{refund_id}", "PaymentRefunded", can_query=True
    )

    result = resolve(dead_letter, "no-effect")

    assert f"which is better: daybook dead retry {dead_letter.metadata.id}@{PAY}" in result.stdout


@pytest.mark.parametrize(
    ("outcome", "options", "expected"),
    [
        ("no-effect", (), "had no effect. mail-refunded would receive its event again"),
        ("took-effect", ("--no-event",), "took effect, without an outcome event"),
    ],
)
def test_without_apply_it_prints_what_it_would_record_and_changes_nothing(
    world: World, dead_letter: Envelope, outcome: str, options: tuple[str, ...], expected: str
) -> None:
    before = world.connection.dynamodb.scan(TableName=world.names.ledger)["Items"]

    result = resolve(dead_letter, outcome, *options)
    as_data = json.loads(resolve(dead_letter, outcome, *options, "--json").stdout)

    assert result.exit_code == 0, result.output
    assert expected in result.stdout
    assert "Nothing was changed. To apply it, repeat the command with --apply." in result.stdout
    assert (as_data["dead_letter"], as_data["outcome"]) == (f"{dead_letter.metadata.id}@{MAIL}", outcome)
    assert as_data["applied"] is False
    assert world.connection.dynamodb.scan(TableName=world.names.ledger)["Items"] == before


@pytest.mark.parametrize(
    ("outcome", "options"),
    [("no-effect", ("--no-event",)), ("no-effect", ("--event", "-")), ("took-effect", ("--event", "-", "--no-event"))],
)
def test_contradictory_options_are_an_error(dead_letter: Envelope, outcome: str, options: tuple[str, ...]) -> None:
    assert resolve(dead_letter, outcome, *options).exit_code == 2


@pytest.mark.parametrize("reason", [(), ("--reason", "x" * 501)])
def test_without_a_valid_reason_nothing_is_changed(
    world: World, dead_letter: Envelope, reason: tuple[str, ...]
) -> None:
    result = resolve(dead_letter, "took-effect", "--no-event", "--apply", *reason)

    assert result.exit_code == 2
    assert "Nothing was changed" in result.stderr
    assert f"{dead_letter.metadata.id}@{MAIL}" in [f"{e.event}@{e.consumer}" for e in dead(world)]


def test_a_second_run_changes_nothing_and_says_so(world: World, dead_letter: Envelope) -> None:
    first = resolve(dead_letter, "took-effect", "--no-event", "--reason", "seen at SES", "--apply")
    second = resolve(dead_letter, "took-effect", "--no-event", "--reason", "seen at SES", "--apply")

    assert "is resolved, and committed" in first.stdout
    assert "is already done" in second.stdout
    assert (first.exit_code, second.exit_code, dead(world)) == (0, 0, [])


def test_after_ctrl_c_a_repeated_command_sends_the_event_again(world: World, dead_letter: Envelope) -> None:
    world.listens(MAIL, "PaymentRefunded")
    options = ("no-effect", "--reason", "SES knows of none", "--apply")

    with interrupted_when(lambda: world.waiting(MAIL)):
        first = resolve(dead_letter, *options)
    announced = resolve(dead_letter, "no-effect")
    with interrupted_when(lambda: world.waiting(MAIL) == 2):
        second = resolve(dead_letter, *options)

    assert (first.exit_code, second.exit_code) == (130, 130)
    assert "Repeat the command" in first.stderr
    assert "It is already recorded that" in announced.stdout
    assert "The effect record is already withdrawn" in second.stderr
    types = [line.type for line in world.connection.journal.of_stream(operation(world))]
    assert types == ["EffectResolved"]


def operation(world: World) -> str:
    """The stream of the only operation."""
    items = world.connection.dynamodb.scan(TableName=world.names.store)["Items"]
    (stream,) = {item["stream"]["S"] for item in items if item["stream"]["S"].startswith("operation/")}
    return str(stream)


def dead(world: World) -> list[Any]:
    """The dead entries of the ledger."""
    items = world.connection.dynamodb.scan(TableName=world.names.ledger, IndexName="dead")["Items"]
    found = (world.connection.ledger.find(*split(item["key"]["S"])[::-1]) for item in items)
    return [entry for entry in found if entry]

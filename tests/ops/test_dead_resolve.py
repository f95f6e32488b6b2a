"""`daybook dead resolve`, as far as the operator sees it; what it does is tried out beside an effect, in tests/unit."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.consumers.effect_records import EffectRecords
from daybook.contracts.envelope import Envelope
from daybook.operate.program import app
from events.catalogue import CATALOGUE
from tests.ops.interrupting import interrupted_when
from tests.ops.world import World

MAIL = "mail-refunded"
PURPOSE = "letter/{order_id}/refunded/{refund_id}"
PAY = "refund-order"


def resolve(dead_letter: Envelope, outcome: str, *options: str, given: str = "") -> Any:
    return CliRunner().invoke(
        app, ["dead", "resolve", dead_letter.metadata.id, "--outcome", outcome, *options], input=given
    )


def in_doubt(
    world: World, consumer: str, event_type: str, idempotency_key: str, *emits: str, can_ask: bool
) -> Envelope:
    """An event whose effect has been attempted, and whose process is gone."""
    world.uses(
        consumer, kind="effect", event=event_type, emits=list(emits), idempotency_key=idempotency_key, can_ask=can_ask
    )
    contract = CATALOGUE[event_type]
    stream = contract.model_validate(contract.example).stream
    event = world.recorded(event_type, stream, data=json.dumps(contract.example), producer="payments")
    world.died(event, consumer, "OutcomeUnknown", reason="nobody knows")
    attempts = EffectRecords(world.connection.dynamodb, world.names.ledger, consumer)
    attempts.begin(idempotency_key.format(**contract.example), cause=event.metadata.id, seconds=-120)
    return event


@pytest.fixture
def dead_letter(world: World) -> Envelope:
    """A dead letter about a refund, in doubt."""
    return in_doubt(world, MAIL, "PaymentRefunded", PURPOSE, "EmailSent", "EmailRefused", can_ask=False)


def test_what_the_effect_may_tell_is_printed_to_be_filled_in(dead_letter: Envelope) -> None:
    result = resolve(dead_letter, "took-effect")

    assert result.exit_code == 0, result.output
    sent, refused = json.loads(result.stdout)
    assert sent["DetailType"] == "EmailSent"
    assert refused["DetailType"] == "EmailRefused"
    assert sent["data"]["order_id"] == json.loads(dead_letter.data)["order_id"]
    assert sent["data"]["message_id"].startswith("FILL IN, such as ")
    assert "--event FILE" in result.stderr
    assert "--no-event" in result.stderr


def test_what_is_about_people_is_hidden_in_it_and_taken_from_the_event_if_it_stays_so(world: World) -> None:
    dead_letter = in_doubt(
        world, PAY, "RefundRequested", "refund/{order_id}/{refund_id}", "PaymentRefunded", can_ask=True
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
    *_, told = world.connection.store.stream("payment/1001")
    assert told.metadata.type == "PaymentRefunded"
    assert json.loads(told.data)["customer"]["name"] == customer["name"]


def test_a_payment_had_better_be_asked_for_by_its_effect(world: World) -> None:
    dead_letter = in_doubt(
        world, PAY, "RefundRequested", "refund/{order_id}/{refund_id}", "PaymentRefunded", can_ask=True
    )

    result = resolve(dead_letter, "no-effect")

    assert f"which is better: daybook dead retry {dead_letter.metadata.id}@{PAY}" in result.stdout


@pytest.mark.parametrize(
    ("outcome", "options", "told"),
    [
        ("no-effect", (), "had no effect. mail-refunded would receive its event again"),
        ("took-effect", ("--no-event",), "took effect, and no event of it"),
    ],
)
def test_before_it_is_applied_it_is_said_and_nothing_is_changed(
    world: World, dead_letter: Envelope, outcome: str, options: tuple[str, ...], told: str
) -> None:
    before = world.connection.dynamodb.scan(TableName=world.names.ledger)["Items"]

    result = resolve(dead_letter, outcome, *options)
    as_data = json.loads(resolve(dead_letter, outcome, *options, "--json").stdout)

    assert result.exit_code == 0, result.output
    assert told in result.stdout
    assert "Nothing was changed. To do it, repeat the command with --apply." in result.stdout
    assert (as_data["dead_letter"], as_data["outcome"]) == (f"{dead_letter.metadata.id}@{MAIL}", outcome)
    assert as_data["applied"] is False
    assert world.connection.dynamodb.scan(TableName=world.names.ledger)["Items"] == before


@pytest.mark.parametrize(
    ("outcome", "options"),
    [("no-effect", ("--no-event",)), ("no-effect", ("--event", "-")), ("took-effect", ("--event", "-", "--no-event"))],
)
def test_what_contradicts_itself_is_refused(dead_letter: Envelope, outcome: str, options: tuple[str, ...]) -> None:
    assert resolve(dead_letter, outcome, *options).exit_code == 2


@pytest.mark.parametrize("reason", [(), ("--reason", "x" * 501)])
def test_without_a_reason_that_can_be_recorded_nothing_is_done(
    world: World, dead_letter: Envelope, reason: tuple[str, ...]
) -> None:
    result = resolve(dead_letter, "took-effect", "--no-event", "--apply", *reason)

    assert result.exit_code == 2
    assert "nothing was done" in result.stderr
    assert f"{dead_letter.metadata.id}@{MAIL}" in [f"{e.event}@{e.consumer}" for e in dead(world)]


def test_applied_twice_it_is_done_once_and_says_so(world: World, dead_letter: Envelope) -> None:
    first = resolve(dead_letter, "took-effect", "--no-event", "--reason", "seen at SES", "--apply")
    second = resolve(dead_letter, "took-effect", "--no-event", "--reason", "seen at SES", "--apply")

    assert "is resolved, and committed" in first.stdout
    assert "is done already" in second.stdout
    assert (first.exit_code, second.exit_code, dead(world)) == (0, 0, [])


def test_ctrl_c_ends_the_waiting_and_the_command_repeated_goes_on_with_the_sending(
    world: World, dead_letter: Envelope
) -> None:
    world.listens(MAIL, "PaymentRefunded")
    act = ("no-effect", "--reason", "SES knows of none", "--apply")

    with interrupted_when(lambda: world.waiting(MAIL)):
        first = resolve(dead_letter, *act)
    announced = resolve(dead_letter, "no-effect")
    with interrupted_when(lambda: world.waiting(MAIL) == 2):
        second = resolve(dead_letter, *act)

    assert (first.exit_code, second.exit_code) == (130, 130)
    assert "Repeat the command" in first.stderr
    assert "It is recorded already that" in announced.stdout
    assert "The attempt is withdrawn already" in second.stderr
    acts = [line.type for line in world.connection.journal.of_stream(operation(world))]
    assert acts == ["EffectResolved"]


def operation(world: World) -> str:
    """The stream of the one act that there was."""
    items = world.connection.dynamodb.scan(TableName=world.names.store)["Items"]
    (stream,) = {item["stream"]["S"] for item in items if item["stream"]["S"].startswith("operation/")}
    return str(stream)


def dead(world: World) -> list[Any]:
    """What is dead, by the ledger."""
    items = world.connection.dynamodb.scan(TableName=world.names.ledger, IndexName="dead")["Items"]
    found = (world.connection.ledger.find(item["event"]["S"], item["consumer"]["S"]) for item in items)
    return [entry for entry in found if entry]

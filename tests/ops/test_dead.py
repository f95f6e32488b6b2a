"""`daybook dead`: lists dead letters in groups and one by one, and shows their details."""

import hashlib
import json
import re
import tracemalloc
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.operate.dead_letters.groups import Failures, normalised
from daybook.operate.dead_letters.index import (
    DeadLetter,
    NoSuchDeadLetter,
    Selection,
    body,
    dead_letters,
    named,
    still_dead,
)
from daybook.operate.dead_letters.remedies import NEVER_ADMITTED
from daybook.operate.program import app
from daybook.store.attributes import pack_item
from daybook.store.ledger import DEAD, LedgerEntry, Note
from daybook.store.ledger_keys import of_event
from tests.ops.world import World, morning, ms

TO = "confirm-order"
SECRET = "Ada Lovelace"


def dead(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["dead", *arguments])


def placed(world: World, order: str) -> Any:
    data = {
        "order_id": order,
        "customer": {"name": SECRET, "email": "ada@example.com"},
        "lines": [{"sku": "mug", "quantity": 2, "price": {"amount": 1250, "currency": "EUR"}}],
    }
    return world.recorded("OrderPlaced", f"order/{order}", event_id=f"e-{order}", data=json.dumps(data))


def ids(world: World, **selected: Any) -> list[str]:
    return sorted(dead_letter.id for dead_letter in dead_letters(world.connection, Selection(**selected)))


# --- selection -----------------------------------------------------------------------------------------------------


def test_a_selection_returns_the_dead_letters_that_match_all_criteria(world: World) -> None:
    world.died(placed(world, "1"), "a", "KeyError", after=1)
    world.died(placed(world, "2"), "a", "TypeError", after=2000)
    world.died(placed(world, "3"), "b", "KeyError", after=3000)

    assert ids(world) == ["e-1@a", "e-2@a", "e-3@b"]
    assert ids(world, consumer="a") == ["e-1@a", "e-2@a"]
    assert ids(world, error="KeyError") == ["e-1@a", "e-3@b"]
    assert ids(world, consumer="a", error="KeyError") == ["e-1@a"]
    assert ids(world, stream="order/2") == ["e-2@a"]
    assert ids(world, stream="order/") == ["e-1@a", "e-2@a", "e-3@b"]
    assert ids(world, type="OrderPlaced") == ["e-1@a", "e-2@a", "e-3@b"]
    assert ids(world, type="OrderConfirmed") == []
    assert ids(world, since=morning() + timedelta(seconds=2)) == ["e-2@a", "e-3@b"]
    assert ids(world, since=morning() + timedelta(seconds=2), consumer="a") == ["e-2@a"]


def test_dead_letters_of_one_consumer_are_sorted_oldest_first(world: World) -> None:
    for number in (3, 1, 2):
        world.died(f"e-{number}", TO, after=number)

    assert [dead_letter.event for dead_letter in dead_letters(world.connection, Selection(consumer=TO))] == [
        "e-1",
        "e-2",
        "e-3",
    ]


def test_a_dead_letter_is_found_by_its_event_and_by_its_event_and_consumer(world: World) -> None:
    world.died("e-1", "a")

    assert named(world.connection, "e-1") == named(world.connection, "e-1@a")
    assert named(world.connection, "e-1").consumer == "a"


@pytest.mark.parametrize(
    ("name", "expected"), [("e-1", "dead at 2 consumers"), ("e-1@c", "not a dead letter"), ("e", "not")]
)
def test_an_id_of_no_dead_letter_or_of_several_is_an_error_that_lists_candidates(
    world: World, name: str, expected: str
) -> None:
    world.died("e-1", "a")
    world.died("e-1", "b")

    with pytest.raises(NoSuchDeadLetter, match=expected):
        named(world.connection, name)


def test_only_dead_letters_that_are_still_dead_are_read_with_their_bodies(world: World) -> None:
    for number in range(120):
        world.died(f"e-{number}", TO, body=f"body {number}")
    known = list(dead_letters(world.connection, Selection()))
    done = placed(world, "done")
    world.handled(done, TO)

    current = still_dead(world.connection, [*known, dead_letter_of(done, TO)])
    found = {dead_letter.event: body(world.connection, entry) for dead_letter, entry in current}

    assert found == {f"e-{number}": f"body {number}" for number in range(120)}


def dead_letter_of(event: Any, consumer: str) -> DeadLetter:
    return DeadLetter(event=event.metadata.id, consumer=consumer, at=ms(0), error="", reason="")


def test_a_dead_letter_that_is_requested_twice_is_returned_once(world: World) -> None:
    world.died("e-1", TO)
    (dead_letter,) = dead_letters(world.connection, Selection())
    since = dead_letter.at
    older = DeadLetter(event="e-1", consumer=TO, at=clock.timestamp(morning()), error="", reason="")

    assert [found.at for found, _ in still_dead(world.connection, [dead_letter, older])] == [since]


# --- groups --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("KeyError at functions/orders/confirm_order.py:21", "KeyError at functions/orders/confirm_order.py:21"),
        ("the process died 3 times", "the process died <n> times"),
        ("no 'red mug' on store 12", "no <text> on store <n>"),
        ('"a" is not "b"', "<text> is not <text>"),
        ("0b73e9a8-f681-85b0-ab42-8efcb5b144a6 of order/1001", "<id> of order/<n>"),
        ("lines.0.quantity: greater than 0", "lines.<n>.quantity: greater than <n>"),
        ("hash deadbeef12, flags 0xff", "hash <hex>, flags <hex>"),
        ("until 2026-03-01T09:30:00Z, by order-77", "until <time>, by <id>"),
        ("it can't and won't", "it can't and won't"),
    ],
)
def test_variable_parts_of_a_reason_are_replaced_by_placeholders(reason: str, kind: str) -> None:
    assert normalised(reason) == kind


def test_dead_letters_with_the_same_error_are_one_group_and_the_largest_comes_first(world: World) -> None:
    world.died("e-0", "b", "KeyError", reason="order 7 is unknown")
    for number in range(1, 4):
        world.died(f"e-{number}", "a", "KeyError", reason=f"order {number} is unknown", after=number)

    groups = json.loads(dead("--json").stdout)["groups"]

    assert groups == [
        {
            "consumer": "a",
            "error": "KeyError",
            "reason": "order <n> is unknown",
            "count": 3,
            "oldest": ms(1),
            "newest": ms(3),
            "example": "e-3@a",
        },
        groups[1],
    ]
    assert (groups[1]["count"], groups[1]["example"]) == (1, "e-0@b")


def test_the_groups_are_shown_with_next_steps(world: World) -> None:
    world.died("e-1", TO)

    shown = dead("--error", "KeyError")

    assert shown.exit_code == 0
    for expected in ("1 dead letter", TO, "KeyError", "confirm_order.py:21"):
        assert expected in shown.stdout
    assert f"daybook dead show e-1@{TO} --stage dev" in shown.stdout
    assert f"daybook dead retry --consumer {TO} --error KeyError --first 1 --stage dev" in shown.stdout
    assert "index lags" in shown.stderr


def next_steps_of(shown: str, kind: str) -> list[str]:
    """The next steps of a group: a sentence, and the commands."""
    lines = [line.strip() for line in shown.partition("Next steps:\n")[2].splitlines()]
    begin = next(number for number, line in enumerate(lines) if line.startswith(kind))
    return [lines[begin], *takewhile(lambda line: line.startswith("daybook"), lines[begin + 1 :])]


def test_each_group_has_the_next_steps_for_its_error(world: World) -> None:
    world.uses("mail", kind="effect", event="OrderPlaced", idempotency_key="email/{order_id}", can_query=False)
    world.uses("charge", kind="effect", event="OrderPlaced", idempotency_key="charge/{order_id}", can_query=True)
    world.died("e-1", "admit", "ContractBroken", reason="OrderPlaced: lines: missing")
    world.died("e-2", "admit", "StreamNotOpen", reason="it continues a stream that nothing has opened")
    world.died("e-3", "grant-refund", "NonRetryable", reason="it was never paid")
    world.died("e-4", "mail", "OutcomeUnknown", reason="no answer")
    world.died("e-5", "charge", "OutcomeUnknown", reason="no answer")

    shown = dead().stdout

    for kind, *typed in (
        ("ContractBroken at admit", "edit e-1@admit", "discard --consumer admit --error ContractBroken --reason '…'"),
        ("StreamNotOpen at admit", "retry --consumer admit --error StreamNotOpen --first 1"),
        ("NonRetryable at grant-refund", "discard --consumer grant-refund --error NonRetryable --reason '…'"),
        ("OutcomeUnknown at mail", "resolve e-4@mail --outcome '…'"),
        ("OutcomeUnknown at charge", "retry --consumer charge --error OutcomeUnknown --first 1"),
    ):
        first, show, *rest = next_steps_of(shown, kind)
        assert first.startswith(f"{kind}: ")
        assert show.startswith("daybook dead show e-")
        assert rest == [f"daybook dead {each} --stage dev" for each in typed]


def test_a_command_for_several_groups_is_printed_once(world: World) -> None:
    for number, reason in enumerate(("no store", "no box")):
        world.died(f"e-{number}", TO, reason=reason)

    shown = dead().stdout

    assert shown.count("daybook dead show") == 2
    assert shown.count("daybook dead retry") == 1


def test_next_steps_are_printed_only_for_the_largest_groups(world: World) -> None:
    for number in range(7):
        world.died(f"e-{number}", f"consumer-{number}")

    shown = dead().stdout

    assert "Next steps for the largest groups:" in shown
    assert shown.count("daybook dead retry") == 5


def test_every_rejection_of_admit_is_known_to_the_commands() -> None:
    # Commands do not import functions, so these names are in both places.
    backbone = Path(__file__).resolve().parents[2] / "daybook" / "backbone"
    code = "".join((backbone / name).read_text() for name in ("admit.py", "examination.py"))

    expected = set(re.findall(r'(?:Rejection\(|_rejection\(arrival, )"(\w+)"', code))

    assert expected == NEVER_ADMITTED | {"OriginNotAllowed", "StreamNotOpen", "UnknownVersion"}


def test_no_dead_letters_is_not_an_error(world: World) -> None:
    world.died("e-1", TO)

    shown = dead("--consumer", "another")

    assert (shown.exit_code, shown.stdout) == (0, "There are no dead letters of this kind.\n")


def test_dead_letters_beyond_the_maximum_number_of_groups_are_only_counted() -> None:
    kinds = (f"Error{'x' * number}" for number in range(600))

    found = Failures.of(DeadLetter(event="e", consumer="a", at="1", error=kind, reason="") for kind in kinds)

    assert (len(found.groups), found.others, found.count) == (500, 100, 600)


def test_options_before_the_subcommand_are_an_error(world: World) -> None:
    world.died("e-1", TO)

    shown = dead("--stage", "prod", "discard", "--all", "--reason", "x", "--apply")

    assert shown.exit_code == 2
    assert "after the command" in shown.stderr
    assert ids(world) == [f"e-1@{TO}"]


def test_a_stream_name_without_an_id_is_an_error(world: World) -> None:
    world.died(placed(world, "1001"), TO)

    for command in ((), ("list",), ("retry", "--apply"), ("discard", "--reason", "x", "--apply")):
        shown = dead(*command, "--stream", "1001")
        assert (shown.exit_code, shown.stdout) == (2, "")
        assert "1001 is not the name of a stream: the name of a stream has the form KIND/ID" in shown.stderr
    assert ids(world) == [f"e-1001@{TO}"]


# --- one by one ----------------------------------------------------------------------------------------------------


def test_the_list_has_one_line_per_dead_letter_and_says_when_there_are_more(world: World) -> None:
    for number in range(3):
        world.died(placed(world, str(number)), TO, after=number)

    shown = dead("list", "--consumer", TO, "--limit", "2")
    data = [json.loads(line) for line in dead("list", "--json").stdout.splitlines()]

    lines = shown.stdout.splitlines()
    assert [f"e-{number}@{TO}" in line for number, line in enumerate(lines)] == [True, True]
    assert "OrderPlaced  order/0 #1" in lines[0]
    assert "Only the first 2 are shown" in shown.stderr
    assert sorted(each["id"] for each in data) == [f"e-{number}@{TO}" for number in range(3)]
    assert data[0]["error"] == "KeyError"


def test_a_dead_letter_is_shown_with_its_attempts_its_trace_and_its_log_but_no_personal_data(world: World) -> None:
    event = placed(world, "1001")
    m = event.metadata
    for number in (1, 2):
        note = Note(
            message="m", deliveries=number, at=ms(number), error=f"Try{number}", reason="slow", failed_count=number
        )
        world.connection.ledger.note(m.id, TO, (m.stream, m.sequence), note)
    world.listens(TO, "OrderPlaced")
    name = world.died(event, TO)

    shown = dead("show", m.id)
    data = json.loads(dead("show", name, "--json").stdout)

    assert shown.exit_code == 0, shown.stderr
    for expected in (
        name,
        "KeyError",
        "Try1",
        "Try2",
        "order/1001 #1",
        "•••",
        f"{TO}  dead",  # the trace
        f"/aws/lambda/daybook-dev-{TO}",
        "aws logs filter-log-events",
        f"daybook dead retry {name} --apply --stage dev",
        "daybook dead discard",
    ):
        assert expected in shown.stdout
    assert SECRET not in shown.stdout
    assert SECRET not in json.dumps(data)
    assert [each["error"] for each in data["attempts"]] == ["Try1", "Try2"]
    assert f"--filter-pattern '\"{m.id}\"'" in data["logs"]


def test_the_data_of_a_recorded_event_are_revealed_from_the_store(world: World) -> None:
    event = placed(world, "1001")
    name = world.died(event, TO)

    assert SECRET not in world.connection.ledger.find(event.metadata.id, TO).details["body"]  # type: ignore[union-attr]
    assert SECRET in dead("show", name, "--reveal").stdout
    assert SECRET in json.dumps(json.loads(dead("show", name, "--json", "--reveal").stdout)["recorded"])


def test_a_message_about_an_event_that_is_not_recorded_is_to_be_discarded(world: World) -> None:
    name = world.died("body-1", TO, "NotRecorded", reason="the store has no event at the position in the message")

    shown = dead("show", name).stdout

    assert shown.index("dead discard") < shown.index("dead retry")
    assert "find out who sent the message" in dead().stdout


@pytest.mark.parametrize(
    ("error", "consumer", "first", "second", "advice"),
    [
        ("NotProven", "publish", "dead discard", "dead retry", "find out who has, then discard the dead letter"),
        ("LedgerRowNotProven", TO, "dead retry", "dead discard", "restore the row from a backup, otherwise delete it"),
        ("LedgerRowNotProven", "admit", "dead retry", "dead discard", "restore the row from a backup"),
    ],
)
def test_what_somebody_else_has_written_has_advice_of_its_own(
    world: World, error: str, consumer: str, first: str, second: str, advice: str
) -> None:
    name = world.died("body-1", consumer, error, reason="…")

    shown = dead("show", name).stdout

    assert shown.index(first) < shown.index(second)
    assert advice in " ".join(dead().stdout.split())


def test_a_rejected_message_is_shown_as_size_and_hash_unless_revealed(world: World) -> None:
    body = json.dumps({"detail": {"metadata": {"stream": "order/1", "sequence": 1}, "data": {"name": SECRET}}})
    name = world.died("e-1", "admit", "ContractBroken", body=body, reason="OrderPlaced: lines: missing")

    shown, revealed = dead("show", name), dead("show", name, "--reveal")

    assert SECRET not in shown.stdout
    assert f"{len(body)} bytes" in shown.stdout
    assert hashlib.sha256(body.encode()).hexdigest() in shown.stdout
    assert f"daybook dead edit {name} --stage dev" in shown.stdout
    assert "dead retry" not in shown.stdout
    assert SECRET in revealed.stdout


def test_a_dead_letter_without_a_stream_shows_no_stream(world: World) -> None:
    name = world.died("e-1", "admit", "ContractBroken", reason="OrderPlaced: lines: missing")

    (line,) = dead("list").stdout.splitlines()
    shown = dead("show", name).stdout

    assert line.endswith(f"Z  {name}  ContractBroken  OrderPlaced: lines: missing")
    assert "#" not in shown
    assert not [each for each in shown.splitlines() if each.strip() in {"type", "stream"}]


def test_an_unknown_outcome_of_an_effect_that_cannot_query_it_has_resolve_as_next_step(world: World) -> None:
    world.uses("mail", kind="effect", event="OrderPlaced", idempotency_key="email/{order_id}", can_query=False)
    name = world.died("e-1", "mail", "OutcomeUnknown")

    shown = dead("show", name)

    for outcome in ("no-effect", "took-effect"):
        assert f"daybook dead resolve {name} --outcome {outcome} --stage dev" in shown.stdout
    assert "dead retry" not in shown.stdout


@pytest.mark.usefixtures("world")
def test_an_unknown_dead_letter_is_an_error_with_the_next_step() -> None:
    shown = dead("show", "e-1")

    assert shown.exit_code == 1
    assert "daybook dead list --stage dev" in shown.stderr


def test_control_characters_in_a_reason_are_not_printed(world: World) -> None:
    world.died("e-1", TO, reason="\x1b[2J gone")

    for shown in (dead(), dead("list"), dead("show", "e-1")):
        assert "\x1b[2J" not in shown.stdout


# --- many ----------------------------------------------------------------------------------------------------------


def many(world: World, number: int, *, consumer: str = TO) -> None:
    """Write this many small dead letters to the ledger, in batches."""
    for start in range(0, number, 25):
        items = [
            pack_item(
                {
                    "key": f"{consumer}#{consumer}-{start + each:06}",
                    "state": DEAD,
                    "dead": consumer,
                    "at": ms(start + each),
                    "error": "KeyError",
                    "reason": f"order {start + each} is unknown",
                    "event_type": "OrderPlaced",
                    "body": "{}",
                }
            )
            for each in range(min(25, number - start))
        ]
        requests = [{"PutRequest": {"Item": item}} for item in items]
        world.connection.dynamodb.batch_write_item(RequestItems={world.names.ledger: requests})


def test_dead_letters_are_read_lazily_page_by_page(world: World) -> None:
    many(world, 2_500)  # DynamoDB would return all of them in one page
    pages: list[str] = []
    world.connection.dynamodb.meta.events.register("before-call.dynamodb.Scan", lambda **_: pages.append("Scan"))
    found = dead_letters(world.connection, Selection())

    next(found)
    assert len(pages) == 1
    assert sum(1 for _ in found) == 2_499
    assert len(pages) == 3


def test_the_memory_of_groups_does_not_grow_with_the_number_of_dead_letters() -> None:
    def peak(number: int) -> int:
        stream = (
            DeadLetter(event=f"e-{n}", consumer=TO, at=ms(n), error="KeyError", reason=f"order {n} is unknown")
            for n in range(number)
        )
        tracemalloc.start()
        try:
            assert Failures.of(stream).groups[0].count == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    held = 10_000 * 100  # bytes, if only the ids were held
    assert peak(10_000) < peak(2_000) + held / 10


# Guards: the name in the index is compared with the row's key.
def test_a_row_in_the_name_of_another_consumer_is_ignored_and_reported(world: World) -> None:
    real = world.died("e-1", TO)
    planted = LedgerEntry("e-2", "receive-stock", DEAD, ms(5), details={"error": "KeyError", "body": "{}"})
    world.connection.ledger.record_dead(planted)
    world.connection.dynamodb.update_item(
        TableName=world.names.ledger,
        Key=pack_item(of_event("e-2", "receive-stock")),
        UpdateExpression="SET dead = :other",
        ExpressionAttributeValues={":other": {"S": TO}},
    )

    for wanted in (Selection(), Selection(consumer=TO)):
        ignored: list[str] = []
        found = dead_letters(world.connection, wanted, ignored=ignored.append)
        assert [each.id for each in found] == [real]
        (text,) = ignored
        assert f"e-2@receive-stock claims to be a dead letter of {TO}" in text

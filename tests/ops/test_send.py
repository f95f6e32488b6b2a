"""`daybook send`: which events are sent, which are not, and the output."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.contracts.identity import admitted_id
from daybook.operate.program import app
from daybook.operate.send.entries import read_entries
from daybook.operate.send.send import send
from events.catalogue import CATALOGUE
from tests.ops.aws import answering
from tests.ops.world import World, an_order

ACCOUNT = "123456789012"  # moto's


def sending(content: object, *options: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, ["send", "-", *options], input=json.dumps(content) if text is None else text)


def printed(result: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    "content",
    [
        an_order(),
        [an_order()],
        {"Entries": [an_order()]},
        {"description": "…", "entries": [an_order()], "ends": {}},
        an_order(Detail=json.dumps(an_order()["Detail"]), EventBusName="other", Time="2026-03-01T09:30:00Z"),
    ],
    ids=["one", "list", "Entries", "sample", "detail as text, another bus, a time"],
)
def test_all_forms_of_input_are_sent_to_the_ingress_bus(world: World, content: object) -> None:
    result = sending(content)

    assert result.exit_code == 0, result.output
    (event,) = world.arrived()
    assert (event["source"], event["detail-type"]) == ("shop.checkout", "OrderPlaced")
    assert event["detail"] == an_order()["Detail"]


def test_a_file_is_read_as_utf_8(world: World, tmp_path: Path) -> None:
    order = an_order()
    order["Detail"]["data"]["customer"]["name"] = "Zoë"
    file = tmp_path / "order.json"
    file.write_text(json.dumps(order, ensure_ascii=False), encoding="utf-8")

    assert CliRunner().invoke(app, ["send", str(file)]).exit_code == 0
    assert world.arrived()[0]["detail"]["data"]["customer"]["name"] == "Zoë"


def test_a_file_with_a_byte_order_mark_is_read(world: World, tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text(json.dumps(an_order()), encoding="utf-8-sig")

    assert CliRunner().invoke(app, ["send", str(file)]).exit_code == 0
    assert sending(None, text=f"\ufeff{json.dumps(an_order())}").exit_code == 0
    assert len(world.arrived()) == 2


def test_the_printed_event_id_is_the_one_of_admit(world: World) -> None:
    named = an_order("1002")
    named["Detail"]["metadata"] = {"id": "checkout-1002"}

    first, second = printed(sending([an_order(), named], "--json"))

    arrived = {event["detail"]["data"]["order_id"]: event for event in world.arrived()}
    assert first["envelope_id"] == arrived["1001"]["id"]
    assert first["event_id"] == admitted_id(ACCOUNT, "shop.checkout", arrived["1001"]["id"])
    assert second["event_id"] == admitted_id(ACCOUNT, "shop.checkout", "checkout-1002")


def test_each_event_is_printed_with_its_trace_command(world: World) -> None:  # noqa: ARG001 - it is deployed
    result = sending(an_order())

    follow = result.stdout.splitlines()[-1].strip()
    assert follow.startswith("see its trace: daybook trace ")
    assert follow.endswith(" --stage dev")


def test_more_events_than_fit_into_one_call_are_all_sent(world: World) -> None:
    result = sending([an_order(str(number)) for number in range(23)], "--json")

    assert [each["accepted"] for each in printed(result)] == [True] * 23
    assert sorted(int(event["detail"]["data"]["order_id"]) for event in world.arrived()) == list(range(23))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (an_order(DetailType="OrderPlacd"), "did you mean OrderPlaced?"),
        (an_order(DetailType="zzz"), ", ".join(sorted(CATALOGUE))),
        (an_order(Source="shop.unknown"), "allowed sources: shop.checkout"),
        (an_order(Detail={"data": {}}), "order_id"),
        (an_order(Detail={"dta": {}}), 'its Detail is not {"data"'),
        (an_order(Detail={"data": {}, "metadata": {"version": "1"}}), "version"),
        (an_order(Detail={"data": {}, "metadata": {"version": 99}}), "the newest version that this code knows is 1"),
        (an_order(Detail={"data": {"x": "y" * 70_000}}), "the limit is 65536"),
    ],
)
def test_an_invalid_event_is_sent_only_with_unchecked(world: World, content: object, expected: str) -> None:
    refused = sending([an_order(), content])

    assert refused.exit_code == 2
    assert "event 2: " in refused.stderr
    assert expected in refused.stderr
    assert "nothing was sent" in refused.stderr
    assert world.arrived() == []

    assert sending([an_order(), content], "--unchecked").exit_code == 0
    assert len(world.arrived()) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "the text is not JSON"),
        ("[]", "the text has no events"),
        ("7", "the text has no events"),
        ("[7]", "event 1 is not an object"),
        (json.dumps(an_order(Source=None)), "event 1 has no Source"),
        (json.dumps(an_order(Source=7)), "event 1 must have strings as Source"),
        (json.dumps(an_order(Detail="[]")), "a JSON object as Detail"),
        (json.dumps(an_order(Time="yesterday")), "event 1 has a Time"),
        ('{"detail-type": "OrderPlaced"}', "event 1 has the unknown field 'detail-type'"),
    ],
)
def test_an_invalid_entry_is_an_error_even_with_unchecked(world: World, text: str, expected: str) -> None:
    result = sending(None, "--unchecked", text=text)

    assert result.exit_code == 2
    assert expected in result.stderr
    assert world.arrived() == []


def test_only_a_throttled_entry_is_sent_again(world: World) -> None:
    calls: list[int] = []

    def throttle_the_second(parsed: dict[str, Any], **_: object) -> None:
        calls.append(len(parsed["Entries"]))
        if len(calls) == 1:
            parsed["Entries"][1] = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}

    world.connection.eventbridge.meta.events.register("after-call.events.PutEvents", throttle_the_second)
    backoff: list[float] = []

    outcomes = list(
        send(
            world.connection, read_entries(json.dumps([an_order(), an_order("2"), an_order("3")])), pause=backoff.append
        )
    )

    assert [outcome.entry.number for outcome in outcomes if outcome.accepted] == [1, 2, 3]
    assert calls == [3, 1]
    assert len(backoff) == 1


def test_an_entry_that_is_always_throttled_is_given_up(world: World) -> None:
    def throttle(parsed: dict[str, Any], **_: object) -> None:
        parsed["Entries"] = [{"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}]

    world.connection.eventbridge.meta.events.register("after-call.events.PutEvents", throttle)
    backoff: list[float] = []

    (outcome,) = send(world.connection, read_entries(json.dumps(an_order())), pause=backoff.append)

    assert not outcome.accepted
    assert outcome.error == "ThrottlingException: slow down"
    assert len(backoff) == 3
    assert backoff == sorted(backoff)


def test_rejected_events_are_listed_with_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"Entries": [{"EventId": "e-1"}, {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "no"}]}
    with answering({"PutEvents": answer}) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
        result = sending([an_order(), an_order("1002")], "--stage", "local")

    assert result.exit_code == 1
    assert "daybook trace" in result.stdout
    assert "event 2 (OrderPlaced) was rejected: NotAuthorizedForSourceException: no" in result.stderr
    assert "1 of 2 events were rejected: number 2" in result.stderr
    assert [operation for operation, _ in aws].count("PutEvents") == 1


def test_nothing_is_sent_to_a_missing_bus(world: World) -> None:
    result = sending(an_order(), "--stage", "prod")

    assert result.exit_code == 2
    assert "the stage prod is not deployed" in result.stderr
    assert world.arrived() == []

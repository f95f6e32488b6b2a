"""Events that are identified by a field of their data: a duplicate is ignored, other content is rejected."""

import json
from copy import deepcopy
from typing import Any

import pytest

from daybook.contracts.identity import admitted_id
from daybook.operate.send.entries import problem, read_entries
from events.accounts import TransactionPosted, TransactionReversed
from tests.unit.builders import sent
from tests.unit.world import World

BANK = "bank.core"


def a_transaction(**other: Any) -> dict[str, Any]:
    return deepcopy(dict(TransactionPosted.example)) | other


def posted(*, id: str | None = None, **other: Any) -> str:  # noqa: A002 - the metadata's word
    metadata = {"id": id} if id else None
    return sent(a_transaction(**other), type="TransactionPosted", source=BANK, metadata=metadata)


# Guards: the identity replaces the producer's id.
def test_the_same_transaction_is_recorded_once_for_any_id_of_its_sender(world: World) -> None:
    world.admit(posted(id="first"), posted(id="second"))
    world.admit(posted())

    assert len(world.stream("account/acc-7f3e")) == 1
    assert world.dead_letters() == []


@pytest.mark.parametrize("other", [{"amount": 4251}, {"account_id": "acc-other"}], ids=["amount", "account"])
def test_an_authorisation_that_is_sent_again_with_other_content_is_rejected(
    world: World, other: dict[str, Any]
) -> None:
    world.admit(posted(id="first"))

    world.admit(posted(id="second", **other))

    assert len(world.recorded()) == 1
    assert [dead_letter.error for dead_letter in world.dead_letters()] == ["IdReused"]


def test_a_reversal_has_the_number_of_its_authorisation_and_is_another_event(world: World) -> None:
    reversal = sent(dict(TransactionReversed.example), type="TransactionReversed", source=BANK)

    world.admit(reversal, posted(), reversal)

    assert sorted(event.metadata.type for event in world.stream("account/acc-7f3e")) == [
        "TransactionPosted",
        "TransactionReversed",
    ]
    assert world.dead_letters() == []


def test_a_sender_can_compute_the_id_of_the_event(world: World) -> None:
    world.admit(posted(id="of no account"))
    entry = {"Source": BANK, "DetailType": "TransactionPosted", "Detail": {"data": a_transaction()}}
    (read,) = read_entries(json.dumps([entry]))

    (recorded,) = world.recorded()

    assert problem(read) is None
    assert read.producer_id == "TransactionPosted/A-90017"
    assert recorded.metadata.id == admitted_id("123456789012", BANK, "TransactionPosted/A-90017")


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 0},
        {"amount": -1},
        {"currency": "XYZ"},
        {"account_id": "4111111111111111"},
        {"account_id": "4111-1111-1111-1111"},
        {"account_id": "GB82WEST12345698765432"},
        {"merchant": None},
        {"channel": "transfer"},
        {"channel": "cash"},
        {"opened_on": "2026-03-02"},
        {"merchant": {"merchant_id": "m", "mcc": "5411", "place": {"country": "AT", "latitude": 48.2}}},
    ],
    ids=str,
)
def test_invalid_transactions_are_rejected(world: World, wrong: dict[str, Any]) -> None:
    world.admit(posted(**wrong))

    assert world.recorded() == []
    (dead_letter,) = world.dead_letters()
    assert dead_letter.error == "ContractBroken"
    assert "4111" not in dead_letter.attributes["reason"]
    assert "WEST" not in dead_letter.attributes["reason"]

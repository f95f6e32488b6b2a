"""Admit accepts the events of a source only from the account and the region of its producer."""

import json

import pytest

from daybook.backbone.origins import Origins
from daybook.runtime import settings
from daybook.testing.world import ACCOUNT, REGION, World
from tests.application.builders import sent

OTHER = "210987654321"


@pytest.mark.parametrize(
    "origin", [{"account": OTHER}, {"region": "eu-north-1"}, {"account": OTHER, "region": "eu-north-1"}], ids=str
)
def test_an_event_from_another_account_or_region_is_rejected(world: World, origin: dict[str, str]) -> None:
    assert world.admit(sent(**origin)) == []

    assert world.recorded() == []
    (dead_letter,) = world.dead_letters()
    assert dead_letter.error == "OriginNotAllowed"
    assert "`producers`" in dead_letter.attributes["reason"]


@pytest.mark.parametrize("region", [None, 7])
def test_an_event_without_a_region_is_not_an_event(world: World, region: object) -> None:
    assert world.admit(sent(region=region)) == []

    assert [dead_letter.error for dead_letter in world.dead_letters()] == ["NotAnEvent"]


def test_a_source_that_the_stage_lists_may_send_from_its_account_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = {"": f"{ACCOUNT}/{REGION}", "library.desk": f"{OTHER}/{REGION}"}
    monkeypatch.setenv(settings.ORIGINS, json.dumps(listed))
    settings.settings.cache_clear()

    world.admit(sent(account=ACCOUNT), sent(account=OTHER))

    assert [event.metadata.producer for event in world.recorded()] == ["library.desk"]
    assert [dead_letter.error for dead_letter in world.dead_letters()] == ["OriginNotAllowed"]


def test_the_account_and_the_region_of_a_listed_source_belong_together() -> None:
    origins = Origins({"": "1/a", "library.desk": "2/b"})

    assert [origins.allow("library.desk", *origin) for origin in (("2", "b"), ("1", "a"), ("2", "a"))] == [
        True,
        False,
        False,
    ]
    assert [origins.allow("library.van", *origin) for origin in (("1", "a"), ("2", "b"))] == [True, False]

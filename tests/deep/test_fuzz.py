"""A small run of the fuzz: bad and odd events at both doors of the deployed system."""

import io
from collections import Counter
from collections.abc import Iterator

import pytest
from rich.console import Console

from chaos.fates import Fate, Fates, Put
from chaos.fuzz import Fuzzing, Result
from chaos.memory import CLOUD, Memory
from chaos.oddities import Door, Odd
from daybook.local.cloud import Cloud
from daybook.local.progress import Progress
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection

EVENTS = 150


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with up(_silent()) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def result(cloud: Cloud) -> Result:
    with Memory(cloud) as memory:
        return Fuzzing(_silent(), cloud, memory).run(seed=4, number=EVENTS)


def _silent() -> Progress:
    return Progress(Console(file=io.StringIO()))


def test_odd_events_are_handled_or_dead_with_a_reason_and_good_ones_go_their_way(result: Result) -> None:
    fates = Counter(account.fate for account in result.accounts)

    assert result.faults == []
    assert fates.total() == EVENTS
    assert fates[Fate.DEAD] > fates[Fate.HANDLED] > 0
    assert fates[Fate.VANISHED] == 0


def test_the_report_says_what_was_sent_by_which_door_and_what_became_of_it(result: Result) -> None:
    page = result.markdown(seed=4)

    assert "150 messages, seed 4" in page
    assert all(door in page for door in {account.put.odd.door for account in result.accounts})
    assert "ContractBroken" in page


@pytest.mark.parametrize("door", [Door.INGRESS, Door.ADMIT, Door.CONSUMER, Door.DEAD_LETTERS])
def test_a_message_that_the_ledger_does_not_know_has_vanished(cloud: Cloud, door: Door) -> None:
    queue = {Door.ADMIT: "admit", Door.CONSUMER: "place-order", Door.DEAD_LETTERS: "place-order-dead"}.get(door, "")
    odd = Odd(
        door=door, kind="never sent", body='{"data": {}}', queue=queue, source="shop.checkout", type="OrderPlaced"
    )

    (account,) = Fates(Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)).of([Put(odd=odd, envelope="none")])

    assert account.fate is Fate.VANISHED


def test_a_process_that_goes_on_growing_is_a_fault_and_the_cloud_itself_is_none() -> None:
    early = {"daybook-local-admit": 60_000_000, "daybook-local-record-dead-letters": 60_000_000, CLOUD: 100_000_000}
    late = {"daybook-local-admit": 90_000_000, "daybook-local-record-dead-letters": 62_000_000, CLOUD: 900_000_000}

    grown = Result([], [], early, late).grown()

    assert grown == ["a process of daybook-local-admit has grown from 60 to 90 MB"]

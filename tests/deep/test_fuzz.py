"""A small fuzz run: invalid and unusual events, sent to the ingress bus and to queues of the deployed system."""

import io
from collections import Counter
from collections.abc import Iterator

import pytest
from rich.console import Console

from chaos.fuzz import Fuzzing, Result
from chaos.fuzz_messages import EntryPoint, Message
from chaos.fuzz_results import LedgerStatuses, SentMessage, Status
from chaos.memory import CLOUD, Memory
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


def test_each_message_is_handled_or_dead_with_a_reason_and_valid_events_are_handled(result: Result) -> None:
    statuses = Counter(each.status for each in result.results)

    assert result.problems == []
    assert statuses.total() == EVENTS
    assert statuses[Status.DEAD] > statuses[Status.HANDLED] > 0
    assert statuses[Status.LOST] == 0


def test_the_report_counts_messages_by_entry_point_and_status(result: Result) -> None:
    page = result.markdown(seed=4)

    assert "150 messages, seed 4" in page
    assert all(point in page for point in {each.sent.message.entry_point for each in result.results})
    assert "ContractBroken" in page


@pytest.mark.parametrize("entry_point", EntryPoint)
def test_a_message_without_a_row_in_the_ledger_is_lost(cloud: Cloud, entry_point: EntryPoint) -> None:
    queues = {
        EntryPoint.ADMIT: "admit",
        EntryPoint.CONSUMER: "place-order",
        EntryPoint.DEAD_LETTERS: "place-order-dead",
    }
    message = Message(
        entry_point=entry_point,
        kind="never sent",
        body='{"data": {}}',
        queue=queues.get(entry_point, ""),
        source="shop.checkout",
        type="OrderPlaced",
    )
    ledger = LedgerStatuses(Connection(STAGE, cloud.session(), endpoint=cloud.endpoint))

    (found,) = ledger.results([SentMessage(message=message, envelope="none")])

    assert found.status is Status.LOST


def test_growing_memory_of_a_function_is_a_problem_and_that_of_the_cloud_is_not() -> None:
    early = {"daybook-local-admit": 60_000_000, "daybook-local-record-dead-letters": 60_000_000, CLOUD: 100_000_000}
    late = {"daybook-local-admit": 90_000_000, "daybook-local-record-dead-letters": 62_000_000, CLOUD: 900_000_000}

    grown = Result([], [], early, late).grown()

    assert grown == ["a process of daybook-local-admit has grown from 60 to 90 MB"]

"""Consumers whose messages wait too long: what control-consumers asks SQS and CloudWatch, and what sets off the alarms.

Each guard was switched off in turn, and each time tests of this file failed: the age, the count that stays above zero,
the messages that were deleted, and that stopped consumers are left out.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from daybook.backbone import control_consumers
from daybook.backbone.waiting import waiting_too_long
from daybook.contracts import clock
from daybook.runtime.observability import PAUSED_TOO_LONG, WAITING
from daybook.runtime.queues import queue_urls
from daybook.testing.world import NAMES, REGION, Context, World
from tests.metrics import emitted
from tests.unit import faults
from tests.unit.test_control_consumers import PAUSED, Cloud

CONSUMER = "open-loan"
AGE, VISIBLE = "ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"
IN_FLIGHT, DELETED = "ApproximateNumberOfMessagesNotVisible", "NumberOfMessagesDeleted"


class Queue:
    """A consumer's queue, and the metrics that SQS has put into CloudWatch: one value for each of the last minutes."""

    def __init__(self, consumer: str = CONSUMER) -> None:
        self._name = NAMES.of(consumer)
        self._sqs = boto3.client("sqs", region_name=REGION)
        self._cloudwatch = boto3.client("cloudwatch", region_name=REGION)
        self._url = self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        self._minute = datetime.now(UTC).replace(second=0, microsecond=0)

    def holds_a_message(self) -> None:
        self._sqs.send_message(QueueUrl=self._url, MessageBody="x")

    def had(self, metric: str, values: Sequence[float]) -> None:
        """The values of a metric, the newest last. CloudWatch does not have the last minute yet."""
        last = self._minute - timedelta(minutes=2)
        data: Any = [
            {
                "MetricName": metric,
                "Dimensions": [{"Name": "QueueName", "Value": self._name}],
                "Timestamp": last - timedelta(minutes=len(values) - 1 - number),
                "Value": value,
            }
            for number, value in enumerate(values)
        ]
        self._cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=data)


def waiting() -> list[str]:
    sqs, cloudwatch = (boto3.client(name, region_name=REGION) for name in ("sqs", "cloudwatch"))
    return list(waiting_too_long(sqs, cloudwatch, NAMES, [CONSUMER]))


@pytest.fixture
def queue(world: World) -> Queue:
    assert world.client
    return Queue()


@pytest.mark.parametrize(("age", "expected"), [(299, []), (300, [CONSUMER])])
def test_a_message_that_is_five_minutes_old_waits_too_long(queue: Queue, age: float, expected: list[str]) -> None:
    queue.holds_a_message()
    queue.had(AGE, [age] * 5)

    assert waiting() == expected


def test_an_empty_queue_is_not_looked_up(queue: Queue) -> None:
    queue.had(AGE, [4000] * 5)  # of messages that are gone now

    assert waiting() == []


def test_a_queue_without_any_metrics_is_new(queue: Queue) -> None:
    queue.holds_a_message()

    assert waiting() == []


# SQS has no age for messages that were received three times: those of a process that dies at each start, for example.
@pytest.mark.parametrize("metric", [VISIBLE, IN_FLIGHT])
def test_a_queue_that_was_never_empty_and_lost_no_message_is_stuck(queue: Queue, metric: str) -> None:
    queue.holds_a_message()
    other = IN_FLIGHT if metric == VISIBLE else VISIBLE
    queue.had(metric, [1] * 15)
    queue.had(other, [0] * 15)
    queue.had(AGE, [0] * 15)
    queue.had(DELETED, [0] * 15)

    assert waiting() == [CONSUMER]


def test_a_message_that_is_now_visible_and_now_in_flight_is_stuck(queue: Queue) -> None:
    queue.holds_a_message()
    queue.had(VISIBLE, [1, 0, 0] * 5)
    queue.had(IN_FLIGHT, [0, 1, 1] * 5)

    assert waiting() == [CONSUMER]


def test_a_busy_queue_is_never_empty_and_loses_messages(queue: Queue) -> None:
    queue.holds_a_message()
    queue.had(VISIBLE, [40] * 15)
    queue.had(IN_FLIGHT, [10] * 15)
    queue.had(AGE, [2] * 15)
    queue.had(DELETED, [900] * 15)

    assert waiting() == []


def test_a_queue_that_was_empty_in_between_is_not_stuck(queue: Queue) -> None:
    queue.holds_a_message()
    queue.had(VISIBLE, [1] * 7 + [0] + [1] * 7)
    queue.had(IN_FLIGHT, [0] * 15)

    assert waiting() == []


# Guards: the page size. Without one, SQS returns 1,000 queues at most, and no token.
def test_all_queues_of_a_stage_are_found_if_there_are_more_than_one_page(world: World) -> None:
    assert world.client
    client = boto3.client("sqs", region_name=REGION)
    asked: list[dict[str, Any]] = []
    client.meta.events.register("provide-client-params.sqs.ListQueues", lambda params, **_: asked.append(params))
    for number in range(3):
        client.create_queue(QueueName=NAMES.of(f"many{number}"))

    assert {f"many{number}" for number in range(3)} <= queue_urls(client, NAMES).keys()
    assert [each["MaxResults"] for each in asked] == [1_000]


# --- in control-consumers ---------------------------------------------------------------------------------------------


@pytest.fixture
def cloud(world: World) -> Cloud:
    made = Cloud(world)
    made.deploys(CONSUMER)
    return made


def reported(capsys: pytest.CaptureFixture[str], event: dict[str, str]) -> dict[str, list[float]]:
    """The metrics of a run."""
    capsys.readouterr()
    control_consumers.handler(event, Context())
    return {metric.name: values for metric, values in emitted(capsys.readouterr().out).items()}


@pytest.mark.parametrize(("time", "expected"), [("2026-03-01T12:05:00Z", {WAITING: [1]}), ("2026-03-01T12:06:00Z", {})])
def test_the_queues_are_looked_at_once_in_five_minutes(
    cloud: Cloud, queue: Queue, capsys: pytest.CaptureFixture[str], time: str, expected: dict[str, list[float]]
) -> None:
    assert cloud.world
    queue.holds_a_message()
    queue.had(AGE, [4000] * 5)

    assert reported(capsys, {"time": time}) == expected


def test_a_look_that_fails_sets_off_the_same_alarm_and_the_switches_are_applied(
    cloud: Cloud, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.holds_a_message()
    cloud.sets(CONSUMER, opened=False, off=True)
    faults.answer("GetMetricData", faults.DENIED)

    assert reported(capsys, {}) == {WAITING: [1]}
    assert cloud.states(CONSUMER) == ["Enabled"]


@pytest.mark.parametrize(("days", "expected"), [(9.9, {}), (10.1, {PAUSED_TOO_LONG: [1]})])
def test_a_paused_consumer_is_reported_after_ten_days_and_not_before(
    cloud: Cloud, queue: Queue, capsys: pytest.CaptureFixture[str], days: float, expected: dict[str, list[float]]
) -> None:
    queue.holds_a_message()
    queue.had(AGE, [4000] * 5)
    since = clock.timestamp(datetime.now(UTC) - timedelta(days=days))
    paused = {"by": PAUSED.by, "reason": PAUSED.reason, "since": since, "operation": PAUSED.operation}
    cloud.sets(CONSUMER, paused=paused)

    assert reported(capsys, {}) == expected

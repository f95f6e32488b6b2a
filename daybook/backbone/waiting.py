"""Which consumers have messages that wait too long.

SQS counts the age of the oldest message only over messages that were received less than three times. A consumer whose
process dies at every start would look healthy, so a queue that is never empty and loses no message counts too
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html).
The counts of a queue are free of that: only a queue that is not empty now is looked up in CloudWatch.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from daybook.runtime.names import Names
from daybook.runtime.queues import message_counts, queue_urls
from daybook.store.limits import METRIC_QUERIES

ALLOWED_DELAY = 300  # seconds that the oldest message may wait
_STUCK = timedelta(minutes=15)  # so long a queue may keep messages without losing one
_PERIOD = timedelta(minutes=5)

# SQS's metrics, and their statistics.
_AGE = ("ApproximateAgeOfOldestMessage", "Maximum")
_VISIBLE = ("ApproximateNumberOfMessagesVisible", "Minimum")
_IN_FLIGHT = ("ApproximateNumberOfMessagesNotVisible", "Minimum")
_DELETED = ("NumberOfMessagesDeleted", "Sum")
_METRICS = (_AGE, _VISIBLE, _IN_FLIGHT, _DELETED)


def waiting_too_long(sqs: Any, cloudwatch: Any, names: Names, consumers: Collection[str]) -> Iterator[str]:
    """Those of the consumers whose messages wait too long. The clients are botocore's or boto3's."""
    urls = queue_urls(sqs, names)
    busy = [each for each in consumers if each in urls and any(message_counts(sqs, urls[each]).values())]
    asked = METRIC_QUERIES // len(_METRICS)
    for start in range(0, len(busy), asked):
        some = busy[start : start + asked]
        values = _metrics(cloudwatch, [names.of(consumer) for consumer in some])
        for number, consumer in enumerate(some):
            if _too_long(*(values.get(f"q{number}m{metric}", []) for metric in range(len(_METRICS)))):
                yield consumer


def _too_long(
    age: Sequence[float], visible: Sequence[float], in_flight: Sequence[float], deleted: Sequence[float]
) -> bool:
    if age and age[-1] >= ALLOWED_DELAY:
        return True
    left = [sum(both) for both in zip(visible, in_flight, strict=False)]
    return len(left) >= _STUCK // _PERIOD and all(left) and not sum(deleted)


def _metrics(cloudwatch: Any, queues: Sequence[str]) -> dict[str, list[float]]:
    """The values of each metric in the last periods that are complete, oldest first, by the id of its query."""
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    end -= timedelta(minutes=end.minute % 5)
    queries = [
        {
            "Id": f"q{number}m{metric}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SQS",
                    "MetricName": name,
                    "Dimensions": [{"Name": "QueueName", "Value": queue}],
                },
                "Period": int(_PERIOD.total_seconds()),
                "Stat": statistic,
            },
        }
        for number, queue in enumerate(queues)
        for metric, (name, statistic) in enumerate(_METRICS)
    ]
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=end - _STUCK, EndTime=end, ScanBy="TimestampAscending"
    )
    found: dict[str, list[float]] = {}
    for page in pages:
        for result in page["MetricDataResults"]:
            found.setdefault(result["Id"], []).extend(result["Values"])
    return found

"""Which consumers have messages that wait too long.

SQS counts the age of the oldest message only over messages that were received less than three times. A consumer whose
process dies at every start would look healthy, so a queue that is never empty and loses no message counts too
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html).
Only a queue that is not empty now is looked up in CloudWatch: $0.01 for 1,000 metrics, so $0.35 a month for each queue
that is never empty (https://aws.amazon.com/cloudwatch/pricing/).
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from daybook.runtime.names import Names
from daybook.runtime.queues import message_counts, queue_urls
from daybook.store.limits import METRIC_QUERIES

ALLOWED_DELAY = 300  # seconds that the oldest message may wait
_STUCK = 15  # minutes; so long a queue may keep messages without losing one
_MISSING = 3  # minutes of these may be missing: CloudWatch has the newest ones late
LOOK_EACH = 5  # minutes between two looks

# SQS's metrics, and their statistics.
_AGE = ("ApproximateAgeOfOldestMessage", "Maximum")
_VISIBLE = ("ApproximateNumberOfMessagesVisible", "Minimum")
_IN_FLIGHT = ("ApproximateNumberOfMessagesNotVisible", "Minimum")
_DELETED = ("NumberOfMessagesDeleted", "Sum")
_METRICS = (_AGE, _VISIBLE, _IN_FLIGHT, _DELETED)

_Values = dict[datetime, float]  # by minute


def waiting_too_long(sqs: Any, cloudwatch: Any, names: Names, consumers: Collection[str]) -> Iterator[str]:
    """Those of the consumers whose messages wait too long. The clients are botocore's or boto3's."""
    urls = queue_urls(sqs, names)
    busy = [each for each in consumers if each in urls and _has_messages(sqs, urls[each])]
    asked = METRIC_QUERIES // len(_METRICS)
    for start in range(0, len(busy), asked):
        some = busy[start : start + asked]
        values = _metrics(cloudwatch, [names.of(consumer) for consumer in some])
        for number, consumer in enumerate(some):
            if _too_long(*(values.get(f"q{number}m{metric}", {}) for metric in range(len(_METRICS)))):
                yield consumer


def _has_messages(sqs: Any, url: str) -> bool:
    try:
        return any(message_counts(sqs, url).values())
    except sqs.exceptions.QueueDoesNotExist:  # it was deleted after it was listed
        return False


def _too_long(age: _Values, visible: _Values, in_flight: _Values, deleted: _Values) -> bool:
    if any(age[minute] >= ALLOWED_DELAY for minute in sorted(age)[-LOOK_EACH:]):
        return True
    left = [visible.get(minute, 0) + in_flight.get(minute, 0) for minute in visible | in_flight]
    return len(left) >= _STUCK - _MISSING and all(left) and not any(deleted.values())


def _metrics(cloudwatch: Any, queues: Sequence[str]) -> dict[str, _Values]:
    """The values of each metric in the last minutes, by the id of its query."""
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    queries = [
        {
            "Id": f"q{number}m{metric}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SQS",
                    "MetricName": name,
                    "Dimensions": [{"Name": "QueueName", "Value": queue}],
                },
                "Period": 60,
                "Stat": statistic,
            },
        }
        for number, queue in enumerate(queues)
        for metric, (name, statistic) in enumerate(_METRICS)
    ]
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=end - timedelta(minutes=_STUCK), EndTime=end
    )
    found: dict[str, _Values] = {}
    for page in pages:
        for result in page["MetricDataResults"]:
            found.setdefault(result["Id"], {}).update(zip(result["Timestamps"], result["Values"], strict=True))
    return found

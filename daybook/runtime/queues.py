"""The queues of a stage, found by their names, and SQS's approximate numbers of their messages."""

from typing import Any

from daybook.runtime.names import Names

# The attributes of SQS, and our names for them.
_COUNTS = {
    "ApproximateNumberOfMessages": "waiting",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}


def queue_urls(sqs: Any, names: Names) -> dict[str, str]:
    """The URL of each queue of the stage, by its name without the stage. `sqs` is a botocore or boto3 client."""
    prefix = names.of("")
    # Without a page size, SQS returns at most 1,000 queues and says nothing of the others.
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 1_000})
    urls = [str(url) for page in pages for url in page.get("QueueUrls", [])]
    return {url.rpartition("/")[2].removeprefix(prefix): url for url in urls}


def message_counts(sqs: Any, url: str) -> dict[str, int]:
    """The numbers of messages `waiting`, `in_flight` and `delayed` in a queue."""
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))["Attributes"]
    return {name: int(found.get(attribute, 0)) for attribute, name in _COUNTS.items()}

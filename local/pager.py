"""The pager: all pages that the system has sent. On this machine they wait in a queue, which nobody empties."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from backbone.names import Names
    from local.cloud import Cloud


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it is read."""

    id: str
    ward: str
    level: int
    subject: str
    text: str
    at: datetime


def carry(cloud: Cloud, names: Names) -> None:
    """Carry a pager: subscribe a queue to the topic, as people on duty subscribe their phones.

    Does nothing if there is no such topic.
    """
    sns, sqs = cloud.client("sns"), cloud.client("sqs")
    topics = (topic["TopicArn"] for page in sns.get_paginator("list_topics").paginate() for topic in page["Topics"])
    topic = next((arn for arn in topics if arn.endswith(f":{names.pager}")), None)
    if topic is None:
        return
    url = sqs.create_queue(QueueName=_queue(names))["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _policy(queue, topic)})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)


def pages(cloud: Cloud, names: Names) -> list[Page]:
    """All pages, in the order in which they came."""
    url = cloud.client("sqs").get_queue_url(QueueName=_queue(names))["QueueUrl"]
    told = cloud.page(f"sqs/messages?QueueUrl={quote(url, safe='')}")["messages"]
    bodies = [
        json.loads(message["Body"])
        for of_account in told.values()
        for of_region in of_account.values()
        for of_queue in of_region.values()
        for message in of_queue
    ]
    return [
        Page(
            id=body["MessageId"],
            ward=body["MessageAttributes"]["ward"]["Value"],
            level=int(body["MessageAttributes"]["level"]["Value"]),
            subject=body["Subject"],
            text=body["Message"],
            at=datetime.fromisoformat(body["Timestamp"]),
        )
        for body in bodies
    ]


def _queue(names: Names) -> str:
    """None of the system's own, which are looked at to see whether anything is under way."""
    return f"pages-of-{names.pager}"


def _policy(queue: str, topic: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

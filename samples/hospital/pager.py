"""The pages that the system has sent. On this machine they stay in a queue that nothing empties."""

import json
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from daybook.local.cloud import Cloud
from daybook.operate.connection import Connection
from functions.equipment.setup import queue


@dataclass(frozen=True, slots=True)
class Page:
    """One page, as the pager shows it."""

    id: str
    ward: str
    level: int
    subject: str
    text: str
    at: datetime


def pages(cloud: Cloud, connection: Connection) -> list[Page]:
    """All pages, in the order of arrival."""
    url = connection.sqs.get_queue_url(QueueName=queue(connection))["QueueUrl"]
    accounts = cloud.page(f"sqs/messages?QueueUrl={quote(url, safe='')}")["messages"]
    bodies = [
        json.loads(message["Body"])
        for regions in accounts.values()
        for queues in regions.values()
        for messages in queues.values()
        for message in messages
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

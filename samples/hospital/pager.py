"""The pager: all pages that the system has sent. On this machine they wait in a queue, which nobody empties."""

import json
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from daybook.local.cloud import Cloud
from daybook.operate.connection import Connection
from functions.equipment.setup import queue


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it is read."""

    id: str
    ward: str
    level: int
    subject: str
    text: str
    at: datetime


def pages(cloud: Cloud, connection: Connection) -> list[Page]:
    """All pages, in the order in which they came."""
    url = connection.sqs.get_queue_url(QueueName=queue(connection))["QueueUrl"]
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

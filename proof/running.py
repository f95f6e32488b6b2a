"""A deployed system in the hands of the proof: events go in at the front door, all else is looked at from outside."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from backbone.names import Names
from local.faults import Faults
from local.mailbox import mailbox
from local.pager import pages
from local.provider import Provider
from local.system import STAGE, up
from proof.checker import world
from proof.checker.world import Mail, Movement, Page, World
from proof.traffic import Producer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from local.cloud import Cloud
    from local.faults import Guard
    from local.progress import Progress

_COUNTS = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
_IN_A_ROW = 3  # looks at which all queues are empty: between two of them events are on their way to a queue
_PAUSE = 1.0  # seconds


class NeverAtRest(RuntimeError):
    """Messages were still under way when patience ended. What was looked at is not the end."""


@dataclass
class Running:
    """The system, what brings faults about in it, and what was sent to it."""

    cloud: Cloud
    faults: Faults
    provider: Provider
    producer: Producer
    other_queues: list[str] = field(default_factory=list)
    """Queues of the proof's own, on the way of events."""

    def __post_init__(self) -> None:
        self._sqs = self.cloud.client("sqs")

    def under_way(self) -> int:
        """How many messages wait, are handled or are delayed, in all queues."""
        urls = self._sqs.list_queues(QueueNamePrefix=f"daybook-{STAGE}-", MaxResults=1000)["QueueUrls"]
        return sum(self._in(url) for url in (*urls, *self.other_queues))

    def rest(self, *, seconds: float, at_most: int = 0) -> None:
        """Wait until no more than so many messages are under way. Raises NeverAtRest after so many seconds."""
        deadline = time.monotonic() + seconds
        calm = 0
        while calm < (_IN_A_ROW if at_most == 0 else 1):
            try:
                left = self.under_way()
            except (BotoCoreError, ClientError):
                left = at_most + 1
            calm = calm + 1 if left <= at_most else 0
            if time.monotonic() > deadline:
                msg = f"{left} messages are still under way after {seconds:.0f} s"
                raise NeverAtRest(msg)
            time.sleep(_PAUSE)

    def look(self) -> World:
        """All that there is now."""
        book = self.provider.book()
        return world.read(
            self.cloud.client,
            STAGE,
            mails=[Mail(to=mail.to, subject=mail.subject, text=mail.text) for mail in mailbox(self.cloud)],
            pages=[Page(level=page.level, text=page.text) for page in pages(self.cloud, Names(STAGE))],
            paid=[_movement(charge) for charge in book.charges if charge.status == "succeeded"],
            paid_back=[_movement(refund) for refund in book.refunds],
            sent=self.producer.sent,
        )

    def _in(self, url: str) -> int:
        told = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)["Attributes"]
        return sum(map(int, told.values()))


@contextmanager
def running(progress: Progress, folder: Path, *, without: Sequence[Guard] = ()) -> Iterator[Running]:
    """Bring a system of its own up, for the length of the block. `folder` takes what the faults need."""
    faults = Faults(folder, without=without)
    with Provider() as provider, up(progress, extra=faults.environment, provider=provider) as cloud:
        yield Running(cloud, faults, provider, Producer(cloud))


def _movement(entry: Any) -> Movement:
    return Movement(order=entry.order or "", amount=entry.amount, currency=entry.currency.upper())

"""A deployed system in the hands of the proof: events go in at the front door, all else is looked at from outside."""

from __future__ import annotations

import http.client
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chaos.checker import world
from chaos.checker.world import Mail, Movement, Page, World
from chaos.traffic import Producer
from daybook.local.faults import Faults
from daybook.local.mailbox import mailbox
from daybook.local.provider import Provider
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from samples.hospital.pager import pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daybook.local.cloud import Cloud
    from daybook.local.progress import Progress

_QUEUES = (f"daybook-{STAGE}-", "proof-")  # the stage's, and the proof's own on the way of events
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

    def under_way(self) -> int:
        """How many messages wait, are handled or are delayed, in all queues."""
        # By the local cloud's own page: one call for all queues. AWS's API takes one for each.
        accounts = self.cloud.page("sqs/messages")["messages"].values()
        queues = (queue for regions in accounts for queues in regions.values() for queue in queues.items())
        return sum(len(messages) for url, messages in queues if url.rpartition("/")[2].startswith(_QUEUES))

    def rest(self, *, seconds: float, at_most: int = 0) -> None:
        """Wait until no more than so many messages are under way. Raises NeverAtRest after so many seconds."""
        deadline = time.monotonic() + seconds
        calm = 0
        while calm < (_IN_A_ROW if at_most == 0 else 1):
            try:
                left = self.under_way()
            except (OSError, http.client.HTTPException):
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
            pages=[
                Page(level=page.level, text=page.text)
                for page in pages(self.cloud, Connection(STAGE, self.cloud.session(), endpoint=self.cloud.endpoint))
            ],
            paid=[_movement(charge) for charge in book.charges if charge.status == "succeeded"],
            paid_back=[_movement(refund) for refund in book.refunds],
            sent=self.producer.sent,
        )


@contextmanager
def running(progress: Progress, folder: Path, *, guards: bool = False) -> Iterator[Running]:
    """Bring a system of its own up, for the length of the block. `folder` and `guards` are for its `Faults`."""
    faults = Faults(folder, guards=guards)
    with Provider() as provider, up(progress, extra=faults.environment, provider=provider) as cloud:
        yield Running(cloud, faults, provider, Producer(cloud))


def _movement(entry: Any) -> Movement:
    return Movement(order=entry.order or "", amount=entry.amount, currency=entry.currency.upper())

"""A deployed system with fault injection, tested from the outside."""

from __future__ import annotations

import http.client
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chaos.checker import snapshot
from chaos.checker.snapshot import Email, Movement, Page, Snapshot
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

_QUEUES = (f"daybook-{STAGE}-", "chaos-")  # the stage's queues, and those of `deliveries`
_IN_A_ROW = 3  # checks in a row that find all queues empty: events may be between two queues during one check
_INTERVAL = 1.0  # seconds


class NotIdle(RuntimeError):
    """Messages were still in flight at the deadline. Results at this moment are not final."""


@dataclass
class SystemUnderTest:
    """The system, its fault injection, and the producer that sends events to it."""

    cloud: Cloud
    faults: Faults
    provider: Provider
    producer: Producer

    def messages_in_flight(self) -> int:
        """The number of messages in all queues: waiting, in flight or delayed."""
        # Read from the local cloud's own page: one call for all queues. AWS's API needs one for each.
        accounts = self.cloud.page("sqs/messages")["messages"].values()
        queues = (queue for regions in accounts for queues in regions.values() for queue in queues.items())
        return sum(len(messages) for url, messages in queues if url.rpartition("/")[2].startswith(_QUEUES))

    def wait_until_idle(self, *, seconds: float, at_most: int = 0) -> None:
        """Wait until at most this many messages are in flight. Raises NotIdle after this time."""
        deadline = time.monotonic() + seconds
        in_a_row = 0
        while in_a_row < (_IN_A_ROW if at_most == 0 else 1):
            try:
                left = self.messages_in_flight()
            except (OSError, http.client.HTTPException):
                left = at_most + 1
            in_a_row = in_a_row + 1 if left <= at_most else 0
            if time.monotonic() > deadline:
                msg = f"{left} messages are still in flight after {seconds:.0f} s"
                raise NotIdle(msg)
            time.sleep(_INTERVAL)

    def snapshot(self) -> Snapshot:
        """Read the state of the whole system."""
        book = self.provider.book()
        return snapshot.read(
            self.cloud.client,
            STAGE,
            emails=[Email(to=email.to, subject=email.subject, text=email.text) for email in mailbox(self.cloud)],
            pages=[
                Page(level=page.level, text=page.text)
                for page in pages(self.cloud, Connection(STAGE, self.cloud.session(), endpoint=self.cloud.endpoint))
            ],
            paid=[_movement(charge) for charge in book.charges if charge.status == "succeeded"],
            refunds_made=[_movement(refund) for refund in book.refunds],
            sent=self.producer.sent,
        )


@contextmanager
def system_under_test(progress: Progress, folder: Path, *, guards: bool = False) -> Iterator[SystemUnderTest]:
    """Start a new system for the length of the block. `folder` and `guards` are passed to its `Faults`."""
    faults = Faults(folder, guards=guards)
    with Provider() as provider, up(progress, extra=faults.environment, provider=provider) as cloud:
        yield SystemUnderTest(cloud, faults, provider, Producer(cloud))


def _movement(entry: Any) -> Movement:
    return Movement(order=entry.order or "", amount=entry.amount, currency=entry.currency.upper())

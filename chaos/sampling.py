"""Sample a running system: processes and their memory, messages in queues, latencies."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil

from chaos.tracking import percentile
from daybook.local.processes import function_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.tracking import DeliveryTracker
    from daybook.local.cloud import Cloud
    from daybook.operate.connection import Connection

_MB = 1_000_000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample. Memory is resident, in MB of a million bytes; times are in seconds; None means not known.

    Latencies are of deliveries tracked since the previous sample: `median` and `slow` (the 99th percentile), from
    PutEvents to the commit. `order_latency` is the time from an order's PutEvents to the last commit of all that
    followed from it.
    """

    minutes: float  # since the traffic began
    events: int  # in the store
    processor: float  # percent of all cores, used by all programs
    cloud: float  # memory of the local cloud's main process
    workers: int  # processes of functions
    memory: float  # of all workers
    ordinary: float  # memory of one worker: the median
    largest: float  # memory of the largest worker
    functions: Mapping[str, float]  # mean memory of each function's workers
    files: int  # open files and connections of all workers
    messages: int  # waiting, in flight or delayed, without dead letters
    oldest_message: float  # age
    dead: int  # in dead-letter queues
    open: int  # deliveries that have not ended
    oldest_open: float  # age, since the event was sent
    median: float | None
    slow: float | None
    order_latency: float | None


class Sampler:
    """Takes samples of a system on this machine. `began` is the start of the traffic, by `time.monotonic`."""

    def __init__(self, cloud: Cloud, connection: Connection, tracker: DeliveryTracker, began: float) -> None:
        self._cloud = cloud
        self._connection = connection
        self._tracker = tracker
        self._began = began
        psutil.cpu_percent()  # the next call measures from here

    def take(self) -> Sample:
        """Take a sample. Raises OSError or botocore's errors if the cloud does not answer in time."""
        own, workers = self._processes()
        sizes = [size for several in workers.sizes.values() for size in several]
        queues = self._queues()
        table = self._connection.dynamodb.describe_table(TableName=self._connection.names.store)["Table"]
        tracked = self._tracker.poll()  # last, because it reports each delivery once
        return Sample(
            minutes=(time.monotonic() - self._began) / 60,
            events=table["ItemCount"],
            processor=psutil.cpu_percent(),
            cloud=own,
            workers=len(sizes),
            memory=sum(sizes),
            ordinary=median(sizes or [0]),
            largest=max(sizes, default=0),
            functions={name: sum(several) / len(several) for name, several in workers.sizes.items()},
            files=workers.files,
            messages=queues.messages,
            oldest_message=queues.oldest,
            dead=queues.dead,
            open=tracked.open,
            oldest_open=tracked.oldest,
            median=percentile(tracked.latencies, 50),
            slow=percentile(tracked.latencies, 99),
            order_latency=tracked.order_latency,
        )

    def _processes(self) -> tuple[float, _Workers]:
        """Memory of the cloud's main process, and its workers."""
        cloud = psutil.Process(self._cloud.pid)
        sizes: dict[str, list[float]] = defaultdict(list)
        files = 0
        for process in cloud.children(recursive=True):
            try:
                size, name = process.memory_info().rss / _MB, self._name(process)
                opened = process.num_fds()
            except psutil.Error:  # it has just ended
                continue
            if name and size:
                sizes[name].append(size)
                files += opened
        return cloud.memory_info().rss / _MB, _Workers(sizes, files)

    def _name(self, process: psutil.Process) -> str:
        """The function that a worker runs; empty for other processes."""
        return function_in(Path(process.cwd())).removeprefix(self._connection.names.of(""))

    def _queues(self) -> _Queues:
        """Read from the local cloud's own page: one call for all queues. AWS's API needs one for each and reports no
        age.
        """
        now, messages, dead, oldest = time.time(), 0, 0, 0.0
        for of_account in self._cloud.page("sqs/messages")["messages"].values():
            for of_region in of_account.values():
                for url, found in of_region.items():
                    name = url.rpartition("/")[2]
                    if not name.startswith(self._connection.names.of("")):
                        continue
                    if name.endswith("-dead"):
                        dead += len(found)
                    else:
                        messages += len(found)
                        oldest = max([oldest, *(now - message["SentTimestamp"] for message in found)])
        return _Queues(messages, dead, oldest)


@dataclass(frozen=True, slots=True)
class _Workers:
    sizes: Mapping[str, Sequence[float]]
    files: int


@dataclass(frozen=True, slots=True)
class _Queues:
    messages: int
    dead: int
    oldest: float

"""What a run looks like at one moment: processes and their memory, messages in queues, and how long things take."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import psutil

from chaos.following import percentile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.following import Follower
    from daybook.local.cloud import Cloud
    from daybook.operate.connection import Connection

_MB = 1_000_000  # bytes
_FUNCTION = "AWS_LAMBDA_FUNCTION_NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look. Memory is resident, in MB of a million bytes; times are seconds; None is where nothing could be said.

    Latencies are of what was followed since the look before: `median` and `slow` (the 99th percentile) of deliveries,
    from PutEvents to the commit, and `story`, from an order's PutEvents to the last commit of all that came of it.
    """

    minutes: float  # since the traffic began
    events: int  # in the store
    processor: float  # percent of all cores, whatever works on them
    cloud: float  # memory of the local cloud's own process
    workers: int  # processes of functions
    memory: float  # of all of them
    ordinary: float  # memory of one of them: the median
    largest: float  # memory of the one that has most
    functions: Mapping[str, float]  # memory of a worker of each function: the mean
    files: int  # open files and connections of all workers
    messages: int  # waiting, in flight or delayed, dead letters left out
    oldest_message: float  # its age
    dead: int  # in dead-letter queues
    open: int  # deliveries of what was sent that have not come to their end
    oldest_open: float  # since it was sent
    median: float | None
    slow: float | None
    story: float | None


class Sampler:
    """Takes samples of a system on this machine. `began` is when the traffic began, by `time.monotonic`."""

    def __init__(self, cloud: Cloud, connection: Connection, follower: Follower, began: float) -> None:
        self._cloud = cloud
        self._connection = connection
        self._follower = follower
        self._began = began
        self._names: dict[tuple[int, float], str] = {}
        psutil.cpu_percent()  # the next call tells of the time since this one

    def take(self) -> Sample:
        """Look at everything now. Raises OSError or botocore's errors, if the cloud does not answer in time."""
        own, workers = self._processes()
        sizes = [size for several in workers.sizes.values() for size in several]
        queues = self._queues()
        table = self._connection.dynamodb.describe_table(TableName=self._connection.names.store)["Table"]
        looked = self._follower.look()  # last: what it has told once, it does not tell again
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
            open=looked.open,
            oldest_open=looked.oldest,
            median=percentile(looked.latencies, 50),
            slow=percentile(looked.latencies, 99),
            story=looked.story,
        )

    def _processes(self) -> tuple[float, _Workers]:
        """Memory of the cloud's own process, and its workers."""
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
        """The function that a worker runs; empty for a process that runs none."""
        key = (process.pid, process.create_time())
        if key not in self._names:
            self._names[key] = process.environ().get(_FUNCTION, "").removeprefix(self._connection.names.of(""))
        return self._names[key]

    def _queues(self) -> _Queues:
        """By the local cloud's own page: one call for all of them; AWS's API takes one for each, and tells no age."""
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

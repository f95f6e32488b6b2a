"""Runs a large job as partitions in parallel threads."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

from daybook.store.journal import JournalEntry

P = TypeVar("P")
R = TypeVar("R")

Running = Callable[[], bool]  # False when the job is stopped


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of the events. All events of a stream are in one partition, in order.

    `read(after, running)` returns its lines after the position `after`; an empty string returns all. It stops when
    `running()` is False.
    """

    name: str
    read: Callable[[str, Running], Iterator[JournalEntry]]


def in_parallel(
    partitions: Sequence[P], work: Callable[[P, Running], Iterator[R]], *, at_once: int | None = None
) -> Iterator[R]:
    """Run `work` for each partition in a thread, all or `at_once` side by side, and yield the results as they come.

    The first error ends the job, and so does a caller that stops iterating: each thread ends at its next yield.
    """
    made: SimpleQueue[tuple[R] | BaseException | None] = SimpleQueue()  # None or an error ends a thread
    stopped = Event()

    def running() -> bool:
        return not stopped.is_set()

    def run(partition: P) -> None:
        error: BaseException | None = None
        try:
            for each in work(partition, running):
                made.put((each,))
                if stopped.is_set():
                    break
        except BaseException as raised:  # noqa: BLE001 - it is raised in the caller's thread
            error = raised
        made.put(error)

    pool = ThreadPoolExecutor(max_workers=at_once or max(1, len(partitions)))
    try:
        left = len([pool.submit(run, partition) for partition in partitions])
        while left:
            each = made.get()
            if isinstance(each, BaseException):
                raise each
            if each:
                yield each[0]
            else:
                left -= 1
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)

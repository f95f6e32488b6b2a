"""Partitions of a large job that parallel workers process, each partition in its own order."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

from daybook.store.journal import Line

P = TypeVar("P")
R = TypeVar("R")

Going = Callable[[], bool]  # whether to go on: no longer, once the whole job is stopped


@dataclass(frozen=True, slots=True)
class Partition:
    """Some events that are read by themselves. All events of a stream are in one partition, in order.

    `read(after, going)` are its lines beyond the position `after`, an empty text for all, for as long as `going()`.
    """

    name: str
    read: Callable[[str, Going], Iterator[Line]]


def side_by_side(partitions: Sequence[P], work: Callable[[P, Going], Iterator[R]]) -> Iterator[R]:
    """What the workers yield, as it comes. The first error ends the job, and so does a caller that stops asking: each
    worker then finishes what it is about to yield, and no more.
    """
    made: SimpleQueue[tuple[R] | BaseException | None] = SimpleQueue()  # results, and how each worker ended
    stopped = Event()

    def going() -> bool:
        return not stopped.is_set()

    def run(partition: P) -> None:
        error: BaseException | None = None
        try:
            for each in work(partition, going):
                made.put((each,))
                if stopped.is_set():
                    break
        except BaseException as raised:  # noqa: BLE001 - it is raised again where the results are asked for
            error = raised
        made.put(error)

    pool = ThreadPoolExecutor(max_workers=max(1, len(partitions)))
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

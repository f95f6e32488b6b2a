"""Lanes: parts of a large job that are worked on side by side, each in its own order."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

from daybook.store.journal import Line

R = TypeVar("R")

Going = Callable[[], bool]  # whether to go on: no longer, once somebody has stopped it all


@dataclass(frozen=True, slots=True)
class Lane:
    """A part of some events that is read by itself. All events of a stream are in one lane, in order.

    `read(after, going)` are its lines beyond the position `after`, an empty text for all, for as long as `going()`.
    """

    name: str
    read: Callable[[str, Going], Iterator[Line]]


def side_by_side(lanes: Sequence[Lane], work: Callable[[Lane, Going], Iterator[R]]) -> Iterator[R]:
    """What is made in all lanes, as it is made. The first error ends all, and so does whoever stops asking for more:
    each lane then finishes what it is about to make, and no more.
    """
    made: SimpleQueue[R | _End] = SimpleQueue()
    stopped = Event()

    def going() -> bool:
        return not stopped.is_set()

    def run(lane: Lane) -> None:
        error: BaseException | None = None
        try:
            for each in work(lane, going):
                made.put(each)
                if stopped.is_set():
                    break
        except BaseException as raised:  # noqa: BLE001 - it is raised again where the results are asked for
            error = raised
        made.put(_End(error))

    pool = ThreadPoolExecutor(max_workers=max(1, len(lanes)))
    try:
        left = len(lanes)
        for lane in lanes:
            pool.submit(run, lane)
        while left:
            each = made.get()
            if isinstance(each, _End):
                left -= 1
                if each.error is not None:
                    raise each.error
            else:
                yield each
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _End:
    """A lane has come to its end, or died."""

    error: BaseException | None

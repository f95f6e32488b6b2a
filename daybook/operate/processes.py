"""Runs a large job in parallel processes, in each of which some threads wait for AWS.

    with workers(processes, setup) as run:
        for part, result in run(parts):
            …

`setup` is called once in each process, and returns the function that does one part. Processes share no clients. None is
left behind: they end with the block, and also if this process is killed, because then their pipe is closed.
"""

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from threading import Lock
from typing import Any, TypeVar

from daybook.operate.errors import OperatorError
from daybook.operate.parallel import Running, in_parallel

P = TypeVar("P")
R = TypeVar("R")

Work = Callable[[P, Running], R]
Run = Callable[[Iterable[P]], Iterator[tuple[P, R]]]

# Threads of one process: while some wait for AWS, another one keeps a processor busy.
_THREADS = 4
_TIME_TO_END = 5.0  # seconds, of a process that has closed its pipe


class WorkerEnded(OperatorError):
    """A process of the command has ended by itself, or somebody has ended it."""


@contextmanager
def workers(processes: int, setup: Callable[[], Work[P, R]]) -> Iterator[Run[P, R]]:
    """A function that does parts in this number of processes, and yields each part with its result when it is done.

    With one process, the parts are done in this one. Otherwise `setup`, parts and results must be picklable. An error
    of a part is raised by the iteration, and so is WorkerEnded.
    """
    if processes == 1:
        yield partial(_in_threads, setup())
        return
    with ExitStack() as at_end:
        yield partial(_in_workers, [at_end.enter_context(_worker(setup)) for _ in range(processes)])


def _in_threads(work: Work[P, R], parts: Iterable[P]) -> Iterator[tuple[P, R]]:
    def do(part: P, running: Running) -> Iterator[tuple[P, R]]:
        yield part, work(part, running)

    return in_parallel(list(parts), do, at_once=_THREADS)


def _in_workers(started: Sequence["_Worker"], parts: Iterable[P]) -> Iterator[tuple[P, Any]]:
    waiting = iter(parts)
    for worker in [*started] * _THREADS:
        worker.give(waiting)
    while busy := [worker for worker in started if worker.given]:
        answering = wait([worker.pipe for worker in busy])
        for worker in (each for each in busy if each.pipe in answering):
            done = worker.take()
            worker.give(waiting)
            yield done


@dataclass(slots=True)
class _Worker:
    """A process and the pipe to it. `given` is the number of parts that it has not yet done."""

    process: SpawnProcess
    pipe: Pipe
    given: int = 0

    def give(self, parts: Iterator[Any]) -> None:
        """Give it the next part, if there is one."""
        for part in parts:
            self.given += 1
            with suppress(OSError):  # it has ended; `take` raises that
                self.pipe.send(part)
            return

    def take(self) -> Any:
        """A part that it has done, with the result. Raises the error of the part, and WorkerEnded."""
        try:
            done = self.pipe.recv()
        except (EOFError, OSError) as error:
            self.process.join(_TIME_TO_END)
            raise WorkerEnded(
                f"a process of the command has ended (exit code {self.process.exitcode}): is there enough memory?"
            ) from error
        self.given -= 1
        if isinstance(done, BaseException):
            raise done
        return done


@contextmanager
def _worker(setup: Callable[[], Work[Any, Any]]) -> Iterator[_Worker]:
    # Not forked: a copy of this process would share its connections, and keep the pipes of the others open.
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, setup), daemon=True)
    # A terminal sends Ctrl-C to all processes. Only this one shall answer; a new process inherits what is blocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    try:
        yield _Worker(process, pipe)
    finally:
        pipe.close()
        process.kill()  # whatever it does
        process.join()


def _serve(pipe: Pipe, setup: Callable[[], Work[Any, Any]]) -> None:
    """Do parts from the pipe until its other end is closed."""
    sending = Lock()

    def send(answer: Any) -> None:
        with sending:
            pipe.send(answer)

    def do(work: Work[Any, Any], part: Any) -> None:
        try:
            send((part, work(part, lambda: True)))
        except Exception as error:  # noqa: BLE001 - it is raised in the other process
            send(_picklable(error))

    work = _set_up(setup)
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            while True:
                pool.submit(do, work, pipe.recv())
        except (EOFError, OSError):
            os._exit(0)  # also in the middle of a part: nobody wants it any more


def _set_up(setup: Callable[[], Work[Any, Any]]) -> Work[Any, Any]:
    try:
        return setup()
    except Exception as error:  # noqa: BLE001 - it is raised in the other process, for each part
        failed = error

    def fail(_part: Any, _running: Running) -> Any:
        raise failed

    return fail


def _picklable(error: Exception) -> Exception:
    """The error, or one with its text if it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - of this process
    except Exception:  # noqa: BLE001 - whatever its classes raise
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error

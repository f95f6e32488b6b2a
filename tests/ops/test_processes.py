"""Parallel processes of a command: results, errors, Ctrl-C, and no process that is left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest
from botocore.exceptions import ClientError

from daybook.operate.parallel import Running
from daybook.operate.processes import WorkerEnded, workers
from tests.local.processes import TIMEOUT, running, until


def squares() -> Callable[[int, Running], tuple[int, int]]:
    return lambda number, _: (number**2, os.getpid())


def fails() -> Callable[[int, Running], int]:
    def work(number: int, _: Running) -> int:
        if number == 3:
            raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "…"}}, "Scan")
        return number

    return work


def fails_strangely() -> Callable[[int, Running], int]:
    class NotPicklableError(Exception):
        pass

    def work(_number: int, _: Running) -> int:
        msg = "three"
        raise NotPicklableError(msg)

    return work


def cannot_start() -> Callable[[int, Running], int]:
    msg = "no credentials"
    raise ValueError(msg)


def dies() -> Callable[[int, Running], int]:
    def work(_number: int, _: Running) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    return work


def gets_ctrl_c() -> Callable[[int, Running], int]:
    def work(number: int, _: Running) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return number

    return work


def never_ends() -> Callable[[Path, Running], None]:
    def work(file: Path, _: Running) -> None:
        file.write_text(str(os.getpid()))
        Event().wait()

    return work


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("processes", [1, 2])
def test_each_part_is_done_once_and_comes_with_its_result(processes: int) -> None:
    with workers(processes, squares) as run:
        first, second = dict(run(range(100))), dict(run(range(3)))

    assert {part: square for part, (square, _) in first.items()} == {number: number**2 for number in range(100)}
    assert second.keys() == {0, 1, 2}
    pids = {pid for _, pid in first.values()}
    assert len(pids) == processes
    assert (os.getpid() in pids) == (processes == 1)


def test_no_parts_have_no_results() -> None:
    with workers(2, squares) as run:
        assert list(run([])) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_a_part_is_raised_as_it_is(processes: int) -> None:
    with pytest.raises(ClientError, match="ExpiredToken") as raised, workers(processes, fails) as run:
        list(run(range(10)))

    assert raised.value.operation_name == "Scan"


def test_an_error_that_cannot_be_sent_is_raised_with_its_text() -> None:
    with pytest.raises(RuntimeError, match="NotPicklableError: three"), workers(2, fails_strangely) as run:
        list(run(range(3)))


def test_an_error_of_the_start_is_raised() -> None:
    with pytest.raises(ValueError, match="no credentials"), workers(2, cannot_start) as run:
        list(run(range(3)))


def test_a_process_that_ends_by_itself_ends_the_job() -> None:
    with pytest.raises(WorkerEnded, match=r"exit code -9"), workers(2, dies) as run:
        list(run(range(3)))


def test_only_the_first_process_answers_ctrl_c() -> None:
    with workers(2, gets_ctrl_c) as run:
        assert dict(run(range(100))) == {number: number for number in range(100)}


# --- signals --------------------------------------------------------------------------------------------------------

_PROGRAM = """
import sys
from pathlib import Path
from daybook.operate.processes import workers
from tests.ops.test_processes import never_ends

if __name__ == "__main__":
    try:
        with workers(2, never_ends) as run:
            list(run([Path(sys.argv[1]) / str(number) for number in range(8)]))
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """A program with two processes whose parts never end, and the ids of these."""
    (tmp_path / "program.py").write_text(_PROGRAM)
    parts = tmp_path / "parts"
    parts.mkdir()
    started = subprocess.Popen(
        [sys.executable, tmp_path / "program.py", parts],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until(lambda: len([part for part in parts.iterdir() if part.read_text()]) == 8, what="all parts have begun")
        yield started, {int(part.read_text()) for part in parts.iterdir()}
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.communicate()


def test_ctrl_c_in_a_terminal_ends_all_processes_without_a_traceback(
    program: tuple[subprocess.Popen[str], set[int]],
) -> None:
    started, pids = program
    assert len(pids) == 2

    os.killpg(started.pid, signal.SIGINT)  # as a terminal does
    output, errors = started.communicate(timeout=TIMEOUT)

    assert (output, errors) == ("interrupted\n", "")
    assert not running(pids)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_processes_of_a_command_that_is_killed_end_in_the_middle_of_their_parts(
    program: tuple[subprocess.Popen[str], set[int]], number: signal.Signals
) -> None:
    """Guards: `_serve` ends its process when the pipe is closed."""
    started, pids = program

    started.send_signal(number)

    until(lambda: not running(pids), what="the processes have ended")

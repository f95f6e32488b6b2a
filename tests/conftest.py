"""Settings for all tests: signals, the clock at import, Hypothesis' profiles, which tests run in the same worker, and
the time that each folder takes.
"""

import signal
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import settings
from xdist.scheduler.loadfile import LoadFileScheduling  # type: ignore[import-untyped]

from daybook.local import interrupts

pytest_plugins = ["daybook.testing.plugin", "tests.assemblies"]

# A shell that starts the tests in the background, or `nohup`, ignores these signals. Child processes inherit that, and
# tests that send the signals would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
for ignored in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(ignored, signal.SIG_DFL)

# `make test` tries few examples and `make test-deep` many, the same in each run: no run fails by chance. To search for
# new ones: `--hypothesis-profile search`. A failure prints the example and the line that repeats it.
settings.register_profile("test", max_examples=15, derandomize=True, deadline=None, print_blob=True)
settings.register_profile("deep", max_examples=150, derandomize=True, deadline=None, print_blob=True)
settings.register_profile("search", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("test")  # --hypothesis-profile is read later, and wins

# Test modules are imported as if four hours ago, so that no test takes the time of import for the time of its run.
_import_time = time_machine.travel(timedelta(hours=-4))
_import_time.start()

_seconds_by_folder: dict[str, float] = defaultdict(float)
_tests_by_folder: dict[str, int] = defaultdict(int)


@pytest.fixture
def own_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Signals have the handlers of a new program, even if this process runs a system that has its own handlers."""
    monkeypatch.setattr(interrupts, "_state", interrupts._State())  # noqa: SLF001 - one for each program
    before = [
        (number, signal.signal(number, handler))
        for number, handler in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),
            (signal.SIGHUP, signal.SIG_DFL),
        )
    ]
    yield
    for number, handler in before:
        signal.signal(number, handler)


class DeployedScheduling(LoadFileScheduling):  # type: ignore[misc]
    """The tests of one file run in one worker. All tests of the deployed system run in two: each has a system of its
    own, in which each function has to start.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        if not file.startswith("tests/deployed/"):
            return file
        return "bank and hospital" if file.startswith(("tests/deployed/bank/", "tests/deployed/hospital/")) else "shop"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> DeployedScheduling:
    """Distribute tests to workers."""
    return DeployedScheduling(config, log)


def pytest_collection_finish() -> None:
    """From here on the clock is right."""
    _import_time.stop()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add the time of a test, its fixtures included, to that of its folder under `tests/`."""
    _tests, folder, *_ = Path(report.nodeid.partition("::")[0]).parts
    _seconds_by_folder[folder] += report.duration
    _tests_by_folder[folder] += report.when == "call"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the time that each folder took, summed over all parallel workers."""
    if len(_seconds_by_folder) < 1 or terminalreporter.config.getoption("collectonly"):
        return
    terminalreporter.section("time of each folder, summed over all workers")
    for folder, seconds in sorted(_seconds_by_folder.items(), key=lambda each: -each[1]):
        terminalreporter.write_line(f"{seconds:7.1f} s  tests/{folder}  ({_tests_by_folder[folder]} tests)")

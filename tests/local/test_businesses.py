"""The demo's businesses: the interface of each, and how they share the phases."""

import io
from pathlib import Path
from typing import ClassVar

import pytest
from rich.console import Console

from daybook.local.__main__ import main
from daybook.local.demo import businesses
from daybook.local.demo.business import Business, Phase, Summary
from daybook.local.demo.driver import DemoDriver
from daybook.local.demo.samples import FOLDER, all_samples
from daybook.local.demo.show import run_phases
from daybook.local.progress import Progress
from daybook.local.project import ROOT
from daybook.operate.send.entries import problem

BUSINESSES = businesses()
FIRST = next(iter(BUSINESSES))


def test_every_business_has_a_folder_of_samples_and_every_folder_its_business() -> None:
    assert {file.parent.name for file in FOLDER.glob("*/*.json")} == set(BUSINESSES)


@pytest.mark.parametrize("business", BUSINESSES)
def test_events_of_samples_match_their_contracts_unless_they_must_be_rejected(business: str) -> None:
    for sample in all_samples(FOLDER / business):
        entries = (*sample.entries, *sample.then)
        wrong = {entry.producer_id for entry in entries if problem(entry)}

        assert wrong <= sample.rejected.keys(), sample.name
        assert all(entry.producer_id for entry in entries), sample.name


@pytest.mark.parametrize("business", BUSINESSES.values())
def test_files_of_further_reading_exist(business: type[Business]) -> None:
    assert [file for file in business.further_reading if not (ROOT / file).is_file()] == []


def test_an_unknown_business_is_an_error_that_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--business", "unknown"]) == 2

    output = capsys.readouterr()
    assert f"no business 'unknown'. Businesses: {FIRST}" in output.err
    assert output.out == ""  # nothing was started


def test_a_folder_without_samples_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--business", FIRST, "--samples", str(tmp_path)]) == 2

    assert f"No samples (*.json) in {tmp_path / FIRST}" in capsys.readouterr().err


def test_businesses_run_each_phase_together_and_the_system_is_idle_after_it() -> None:
    happened: list[str] = []
    shown = io.StringIO()

    run_phases(
        Progress(Console(file=shown)), Watched(happened), [Recorded("bakery", happened), Recorded("bank", happened)]
    )

    assert happened == [
        *("bakery: first phase", "bank: first phase", "idle"),
        *("bakery: second phase", "bank: second phase", "idle"),
        *("bakery: third phase", "bank: third phase", "idle"),
    ]
    assert "second phase at the bakery; second phase at the bank … " in shown.getvalue()


class Watched(DemoDriver):
    """A driver that records when the system must be idle."""

    def __init__(self, happened: list[str]) -> None:
        self.happened = happened

    def wait_until_idle(self) -> None:
        self.happened.append("idle")


class Recorded(Business):
    """A business that records its phases."""

    success_message: ClassVar[str] = ""
    further_reading: ClassVar[dict[str, str]] = {}

    def __init__(self, what: str, happened: list[str]) -> None:
        self.what, self.happened = what, happened

    def phases(self) -> tuple[Phase, Phase, Phase]:
        return self._part("first phase"), self._part("second phase"), self._part("third phase")

    def summary(self) -> Summary:
        return Summary((), ())

    def _part(self, part: str) -> Phase:
        return Phase(f"{part} at the {self.what}", lambda _: self.happened.append(f"{self.what}: {part}"))

"""`daybook doctor --first-deployment`: walks through what only a real account can show.

The list is the page docs/first-deployment.md: each row of its tables with the columns *do* and *must happen* is a
check. Answers are kept in a file of the checkout, so a walk can be interrupted. A check whose text changes is open
again.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from daybook.application import application
from daybook.contracts import clock
from daybook.operate.cli.printing import answer, note, say
from daybook.operate.connection import LOCAL
from daybook.operate.errors import OperatorError

PAGE = Path("docs", "first-deployment.md")

_ROW = re.compile(r"^\| (.+?) \| (.+?) \|$", re.MULTILINE)
_STAGE = re.compile(r"\bprod\b")  # the stage in the page's commands and names
_QUESTION = "  As expected? [y]es, [n]o, [s]kip, [q]uit"


class NoPage(OperatorError):
    """The page with the checks is not in this checkout. Restore docs/first-deployment.md."""


class BrokenAnswers(OperatorError):
    """The file with the answers cannot be read. Correct it, or remove it and begin again."""


class NotInALocalRun(OperatorError):
    """These checks are about a real account. Name the stage: `--stage prod`."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what to do, and what must happen. `id` is a hash of both."""

    id: str
    section: str
    do: str
    expect: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The answer to a check: whether it was as expected, when, and what was seen if it was not."""

    well: bool
    at: str
    note: str = ""


class Walk:
    """The checks of one stage, and the answers so far. Raises NoPage and NotInALocalRun."""

    def __init__(self, stage: str) -> None:
        if stage == LOCAL:
            raise NotInALocalRun("a local run cannot show what AWS does; name the stage of an account: --stage prod")
        root = application().root
        try:
            page = (root / PAGE).read_text(encoding="utf-8")
        except OSError as error:
            raise NoPage(f"{root / PAGE} cannot be read ({error.strerror}); restore it") from None
        self.checks = list(checks(page, stage))
        self._file = root / ".daybook" / f"first-deployment-{stage}.json"
        self.seen = {key: Seen(**value) for key, value in self._kept().items()}

    def _kept(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._file.read_text(encoding="utf-8"))) if self._file.exists() else {}
        except ValueError:
            raise BrokenAnswers(f"{self._file} is not what this command writes; correct or remove it") from None

    @property
    def open(self) -> list[Check]:
        """The checks that were not yet seen as expected."""
        return [check for check in self.checks if not self._is_well(check)]

    def _is_well(self, check: Check) -> bool:
        return check.id in self.seen and self.seen[check.id].well

    def answer(self, check: Check, *, well: bool, seen: str = "") -> None:
        """Keep an answer."""
        self.seen[check.id] = Seen(well, clock.now(), seen)
        self._file.parent.mkdir(exist_ok=True)
        text = json.dumps({key: asdict(value) for key, value in self.seen.items()}, indent=1)
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(self._file)


def checks(page: str, stage: str) -> Iterator[Check]:
    """The checks in the tables of the page, for a stage."""
    for section in page.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        rows = [match.groups() for match in _ROW.finditer(text)]
        if ("do", "must happen") not in rows:
            continue
        for do, expect in rows[rows.index(("do", "must happen")) + 1 :]:
            if not do.startswith("---"):
                key = hashlib.sha256(f"{do}|{expect}".encode()).hexdigest()[:12]
                yield Check(key, title, _STAGE.sub(stage, do), _STAGE.sub(stage, expect))


def walk(stage: str, *, as_json: bool) -> None:
    """Ask about each open check, or print all with `as_json`. Ends with exit code 1 while some are open."""
    walking = Walk(stage)
    if as_json:
        for check in walking.checks:
            seen = walking.seen.get(check.id)
            answer({**asdict(check), "seen": asdict(seen) if seen else None}, as_json=True)
    else:
        _ask(walking)
        say(f"{len(walking.checks) - len(walking.open)} of {len(walking.checks)} checks were seen as expected.")
    if walking.open:
        raise typer.Exit(1)


def _ask(walking: Walk) -> None:
    for number, check in enumerate(walking.checks, 1):
        if check not in walking.open:
            continue
        say(f"{number} of {len(walking.checks)}, {check.section}")
        say(f"  Do: {check.do}")
        say(f"  Must happen: {check.expect}")
        if (before := walking.seen.get(check.id)) and before.note:
            say(f"  Seen at {before.at[:19]}Z: {before.note}")
        try:
            reply = typer.prompt(_QUESTION, default="s", show_default=False).strip().lower()[:1]
            if reply == "q":
                return
            if reply == "y":
                walking.answer(check, well=True)
            elif reply == "n":
                walking.answer(check, well=False, seen=typer.prompt("  What did you see"))
        except typer.Abort:  # Ctrl-C, or the end of the input
            note("Interrupted; your answers are kept")
            return

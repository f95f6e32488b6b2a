"""The state of a check in a file: which parts are done, and what they have found.

What one part has found is written in one transaction with the mark that it is done. So a check that is killed at any
moment goes on as if it had not been, and repeats only the parts that were in progress.
"""

import json
import os
import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Self

from daybook.operate.audit.findings import Difference, Findings, Summary
from daybook.operate.audit.plan import Part, Plan
from daybook.operate.audit.sketch import Sketch
from daybook.operate.errors import OperatorError

_TABLES = """
CREATE TABLE plan (json TEXT);
CREATE TABLE parts (phase TEXT, place TEXT, PRIMARY KEY (phase, place));
CREATE TABLE differences (json TEXT);
CREATE TABLE counts (name TEXT PRIMARY KEY, number INTEGER);
CREATE TABLE missing (event TEXT PRIMARY KEY);
CREATE TABLE emitted (cell INTEGER PRIMARY KEY, count INTEGER, sum TEXT);
"""
# The number of missing events that are remembered, so that none is reported twice.
_MAX_REMEMBERED = 20_000


class StateNotWritten(OperatorError):
    """The file with the state of a check cannot be written."""


class NotACheck(OperatorError):
    """The file is not the state of a check, or of another stage or table."""


class InUse(OperatorError):
    """Another process continues the same check."""


class StateFile:
    """The state of one check. Only one process can have it open."""

    def __init__(self, path: Path, database: sqlite3.Connection, plan: Plan) -> None:
        self.path = path
        self.plan = plan
        self.emitted = Sketch()
        """What was emitted and is not in the store, or the reverse, in the parts that are done."""
        self.summary = Summary()
        self._database = database

    @classmethod
    @contextmanager
    def new(cls, plan: Plan) -> Iterator[Self]:
        """The state of a check that begins, in the user's folder. Raises StateNotWritten."""
        path = _folder() / f"audit-{plan.stage}-{re.sub('[-:]', '', plan.began)}.db"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600, exist_ok=False)
        except OSError as error:
            raise StateNotWritten(
                f"the state of the check cannot be kept in {path}: {error.strerror or error}; set XDG_STATE_HOME to a "
                "folder that you may write to"
            ) from error
        with _opened(path) as database:
            database.executescript(_TABLES)
            database.execute("INSERT INTO plan VALUES (?)", [json.dumps(plan.as_data())])
            state = cls(path, database, plan)
            try:
                yield state
            finally:
                if path.exists() and not state.is_begun:
                    state.delete()

    @classmethod
    @contextmanager
    def existing(cls, path: Path, stage: str, store_id: str) -> Iterator[Self]:
        """The state of a check that was interrupted. Raises NotACheck, and InUse."""
        if not path.is_file():
            raise NotACheck(f"there is no file {path}")
        with _opened(path) as database:
            try:
                plan = Plan.from_data(json.loads(database.execute("SELECT json FROM plan").fetchone()[0]))
            except (sqlite3.DatabaseError, LookupError, TypeError, ValueError) as error:
                raise NotACheck(f"{path} is not the state of a check: {error}; start a new one") from error
            if (plan.stage, plan.store_id) != (stage, store_id):
                raise NotACheck(
                    f"{path} is a check of the stage {plan.stage}, in another account or region or of another table "
                    f"than that of {stage} here; check --stage, AWS_PROFILE and AWS_REGION"
                )
            state = cls(path, database, plan)
            state._read()
            yield state

    @property
    def is_begun(self) -> bool:
        """Whether at least one part is done."""
        return bool(self._database.execute("SELECT count(*) FROM parts").fetchone()[0])

    def left(self, phase: str) -> list[Part]:
        """The parts of the phase that are not done."""
        done = {place for (place,) in self._database.execute("SELECT place FROM parts WHERE phase = ?", [phase])}
        return [part for part in self.plan.parts(phase) if part.place not in done]

    def differences(self) -> Iterator[Difference]:
        """All differences so far."""
        return (Difference(**json.loads(text)) for (text,) in self._database.execute("SELECT json FROM differences"))

    def missing(self) -> Collection[str]:
        """The ids of events that were reported as missing; of very many, only some."""
        return {event for (event,) in self._database.execute("SELECT event FROM missing LIMIT ?", [_MAX_REMEMBERED])}

    def save(self, part: Part, findings: Findings) -> None:
        """Write what a part has found, and that it is done."""
        self.summary.add(findings)
        self.emitted.merge(findings.emitted)
        cells = [(each, *self.emitted.cells.get(each, (0, 0))) for each in findings.emitted.cells]
        with self._transaction() as database:
            database.execute("INSERT INTO parts VALUES (?, ?)", [part.phase, part.place])
            database.executemany(
                "INSERT INTO differences VALUES (?)", [[json.dumps(asdict(each))] for each in findings.differences]
            )
            database.executemany(
                "INSERT INTO counts VALUES (?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number",
                findings.counts.items(),
            )
            database.executemany("INSERT OR IGNORE INTO missing VALUES (?)", [[each] for each in findings.missing])
            database.executemany(
                "INSERT OR REPLACE INTO emitted VALUES (?, ?, ?)", [(each, n, f"{sum_:x}") for each, n, sum_ in cells]
            )

    def delete(self) -> None:
        """Delete the file: the check is complete."""
        self._database.close()
        self.path.unlink()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._database.execute("BEGIN")
            yield self._database
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise StateNotWritten(f"{self.path} cannot be written: {error}") from error

    def _read(self) -> None:
        self.summary.counts.update(dict(self._database.execute("SELECT name, number FROM counts")))
        self.summary.differences.update(difference.kind for difference in self.differences())
        rows = self._database.execute("SELECT cell, count, sum FROM emitted WHERE count != 0 OR sum != '0'")
        self.emitted = Sketch({cell: (count, int(sum_, 16)) for cell, count, sum_ in rows})


def unfinished(stage: str) -> list[Path]:
    """The files of checks of this stage that were interrupted or are in progress, the newest first."""
    name = re.compile(rf"audit-{re.escape(stage)}-\d{{8}}T\d{{6}}\.\d{{6}}Z\.db")
    folder = _folder()
    return sorted((path for path in folder.glob("audit-*.db") if name.fullmatch(path.name)), reverse=True)


def _folder() -> Path:
    """Where programs keep what they need to continue (https://specifications.freedesktop.org/basedir-spec/latest/)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "daybook"


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, which no other process can open at the same time."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as database:
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            # Transactions are appended to a file without waiting for the disk.
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("BEGIN IMMEDIATE")
            database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise InUse(f"{path} cannot be opened ({error}): does another process continue this check?") from error
        except sqlite3.DatabaseError as error:
            raise NotACheck(f"{path} is not the state of a check: {error}; start a new one") from error
        yield database

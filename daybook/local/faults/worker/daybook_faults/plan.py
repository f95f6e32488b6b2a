"""The plan of faults. It is read again whenever it changes; its counts are shared by all processes."""

import fcntl
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

Rule = dict[str, Any]


class Plan:
    """The faults that are injected at present, for one function."""

    @classmethod
    def of_this_process(cls) -> Self:
        """The plan for the function that this process runs."""
        stage, name = os.environ["DAYBOOK_STAGE"], os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        return cls(Path(os.environ["DAYBOOK_FAULTS_PLAN"]), name.removeprefix(f"daybook-{stage}-"))

    def __init__(self, file: Path, function: str) -> None:
        self._file = file
        self.function = function
        self._read: tuple[int, int] | None = None
        self._rules: list[Rule] = []

    def matching(
        self, service: str, operation: str, *, fits: Callable[[Rule], bool], when: str | None = None
    ) -> Iterator[Rule]:
        """The faults to inject into this call now. Each is counted when it is yielded.

        `when` is `before` or `after` for faults of an attempt, None for faults that change the call itself.
        """
        here = {"function": self.function, "service": service, "operation": operation, "when": when}
        for rule in self._current():
            if rule.get("when") != when or any(rule.get(name, value) != value for name, value in here.items()):
                continue
            if fits(rule) and self._takes_turn(rule):
                yield rule

    def _current(self) -> list[Rule]:
        try:
            stat = self._file.stat()
        except FileNotFoundError:
            return []
        if self._read != (version := (stat.st_mtime_ns, stat.st_ino)):
            self._rules, self._read = json.loads(self._file.read_text(encoding="utf-8")), version
        return self._rules

    def _takes_turn(self, rule: Rule) -> bool:
        """Whether the fault affects this call. It is counted before it runs, so that a killed process counts."""
        count = os.open(self._file.with_name(f"{rule['id']}.count"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(count, fcntl.LOCK_EX)
            seen, injected = map(int, (os.read(count, 100) or b"0 0").split())
            seen += 1
            affected = _is_turn(rule, seen)
            os.pwrite(count, f"{seen} {injected + affected}\n".encode(), 0)
        finally:
            os.close(count)
        return affected


def _is_turn(rule: Rule, seen: int) -> bool:
    match rule["times"]:
        case {"first": first}:
            return bool(seen <= first)
        case {"number": number}:
            return bool(seen == number)
        case {"nth": nth}:
            return bool(seen % nth == 0)
        case {"probability": probability, "seed": seed}:
            return bool(random.Random(f"{seed} {seen}").random() < probability)  # noqa: S311 - reproducible
        case other:
            msg = f"unknown value of times: {other}"
            raise ValueError(msg)

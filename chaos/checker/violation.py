"""Invariants and their violations."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chaos.checker.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Violation:
    """One violation. `message` names events, orders or articles by their ids."""

    message: str


@dataclass(frozen=True, slots=True)
class Invariant:
    """A condition that must always hold, and the function that finds its violations. `name` is a sentence."""

    name: str
    violations: Callable[[Snapshot], Iterator[Violation]]

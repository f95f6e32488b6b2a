"""A promise that was not kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chaos.checker.world import World


@dataclass(frozen=True, slots=True)
class Breach:
    """What was found that must not be, in a sentence that names events, orders, articles by their ids."""

    what: str


@dataclass(frozen=True, slots=True)
class Invariant:
    """One thing that must hold, and how to look for where it does not. `name` is a sentence."""

    name: str
    breaches: Callable[[World], Iterator[Breach]]

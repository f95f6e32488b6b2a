"""The faults of a bad day, and how often each was brought about. The same seed brings the same."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from daybook.local.faults import ALWAYS, Chance, Every, Fault, Only

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from daybook.local.faults import Call, Faults

_EARLY = 3  # a process is killed at one of the first so many calls of a kind
_ATTEMPTS = 3  # as often as botocore tries: then the function sees it

# How AWS says that it is asked too often, and how likely: of queues functions ask little.
_CODES = (
    ("dynamodb", "ThrottlingException", 0.03),
    ("dynamodb", "ProvisionedThroughputExceededException", 0.03),
    ("events", "ThrottlingException", 0.1),
    ("sqs", "ThrottlingException", 0.3),
)
# What writes, and so can be refused, conflict, or go unanswered with a difference.
_WRITE = "TransactWriteItems"
# The consumers that see whole calls fail, and not just attempts that botocore repeats.
_STRUCK = (
    "admit",
    "place-order",
    "reserve-stock",
    "confirm-order",
    "commit-stock",
    "tally-transaction",
    "score-transaction",
    "raise-alarm",
    "track-equipment",
    "order-status-placed",
)

KINDS = "kinds of calls, by function"

Labelled = tuple[str, Fault]
"""What a fault is called on the report, and the fault."""


class Killing:
    """Deaths of functions' processes, before and after each call to AWS that any of them is known to make."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - to be repeated
        self._known: dict[tuple[str, str, str], tuple[Fault, Fault]] = {}

    def of(self, calls: Iterable[Call]) -> list[Fault]:
        """All deaths so far, and those of calls that were not known before: one before and one after each."""
        for call in calls:
            kind = (call.function, call.service, call.operation)
            if kind not in self._known:
                where: dict[str, Any] = {"function": kind[0], "service": kind[1], "operation": kind[2]}
                early, late = (self._chance.randint(1, _EARLY) for _ in range(2))
                deaths = (
                    Fault.death("before", **where, times=Only(early)),
                    Fault.death("after", **where, times=Only(late)),
                )
                self._known[kind] = deaths
        return [death for both in self._known.values() for death in both]

    def told(self, faults: Faults) -> dict[str, int]:
        """How often processes were killed, and how many of the kinds of calls were met with it."""
        before, after = ([both[place] for both in self._known.values()] for place in (0, 1))
        return {
            KINDS: len(self._known),
            "killed before one": sum(map(faults.brought, before)),
            "killed after one": sum(map(faults.brought, after)),
        }

    def spared(self, faults: Faults) -> Iterator[str]:
        """The calls at which no process was killed: they were made too seldom."""
        for (function, service, operation), deaths in self._known.items():
            for when, death in zip(("before", "after"), deaths, strict=True):
                if not faults.brought(death):
                    yield f"{function}: {when} {service} {operation}"


def throttling(seed: int) -> Iterator[Labelled]:
    """AWS is asked too often: here and there, and for some functions for as long as botocore tries."""
    for number, (service, code, likely) in enumerate(_CODES):
        yield f"throttled ({service})", Fault.throttled(code, service=service, times=Chance(likely, seed + number))
    for function in _STRUCK:
        yield (
            f"throttled until the function sees it ({_WRITE})",
            Fault.throttled(function=function, operation=_WRITE, times=_ATTEMPTS),
        )


def conflicts(seed: int) -> Iterator[Labelled]:
    """Transactions meet others on a row."""
    yield "transaction conflicts", Fault.conflict(times=Chance(0.15, seed))


def timeouts(seed: int) -> Iterator[Labelled]:
    """No answer comes; the call never arrived, or it took effect."""
    for when in ("before", "after"):
        did = "did" if when == "after" else "did not"
        label = f"time-outs of calls that {did} take effect"
        yield label, Fault.timeout(when, service="dynamodb", times=Chance(0.02, seed))
        yield label, Fault.timeout(when, service="events", times=Chance(0.05, seed))
        for function in _STRUCK:
            yield (
                f"{label}, until the function sees it",
                Fault.timeout(when, function=function, operation=_WRITE, times=_ATTEMPTS),
            )


def partial(seed: int) -> Iterator[Labelled]:
    """Of what is sent together only some is taken."""
    for take in (0, 1, 3):
        yield (
            "PutEvents that take only some entries",
            Fault.partial(take, operation="PutEvents", times=Chance(0.2, seed + take)),
        )
    for take in (0, 1):
        yield (
            "BatchGetItems that answer only some keys",
            Fault.partial(take, operation="BatchGetItem", times=Chance(0.1, seed + take)),
        )


def mail_down() -> Iterator[Labelled]:
    """Neither letters nor pages are taken."""
    busy = "TooManyRequestsException"
    yield "letters refused: the e-mail service is down", Fault.throttled(busy, service="sesv2", times=ALWAYS)
    yield "pages refused: the pager is down", Fault.throttled("Throttled", service="sns", times=ALWAYS)


def mail_unanswered() -> Iterator[Labelled]:
    """A letter or a page goes out, and its answer is lost."""
    yield "letters sent, their answer lost", Fault.timeout("after", service="sesv2", times=Every(3))
    yield "pages sent, their answer lost", Fault.timeout("after", service="sns", times=Every(3))


def counted(brought: Iterable[Labelled], faults: Faults) -> Mapping[str, int]:
    """How often the faults of each label have struck."""
    counts: Counter[str] = Counter()
    for label, fault in brought:
        counts[label] += faults.brought(fault)
    return counts

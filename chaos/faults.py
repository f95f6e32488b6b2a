"""The faults of a chaos run, and how often each was injected. The same seed gives the same faults."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from daybook.local.faults import ALWAYS, Chance, Every, Fault, Only

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from daybook.local.faults import Call, Faults

_FIRST_CALLS = 3  # a process is killed at one of the first calls of a kind
_ATTEMPTS = 3  # as many as botocore makes, so that the function sees the error

# Error codes for throttling, and their probability. Functions call SQS rarely.
_CODES = (
    ("dynamodb", "ThrottlingException", 0.03),
    ("dynamodb", "ProvisionedThroughputExceededException", 0.03),
    ("events", "ThrottlingException", 0.1),
    ("sqs", "ThrottlingException", 0.3),
)
# The consumers whose calls fail completely, even after botocore's retries, and the operations by which they write.
_FAILING = {
    **dict.fromkeys(("admit", "place-order", "reserve-stock", "confirm-order", "commit-stock"), "TransactWriteItems"),
    **dict.fromkeys(("tally-transaction", "score-transaction", "raise-alarm", "track-equipment"), "TransactWriteItems"),
    "order-status-placed": "UpdateItem",
}

KINDS = "kinds of calls, by function"

Labelled = tuple[str, Fault]
"""The name of a fault in the report, and the fault."""


class Killing:
    """Kills functions' processes before and after each known kind of call to AWS."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible
        self._known: dict[tuple[str, str, str], tuple[Fault, Fault]] = {}

    def of(self, calls: Iterable[Call]) -> list[Fault]:
        """The faults for all kinds of calls so far: one death before and one after each kind."""
        for call in calls:
            kind = (call.function, call.service, call.operation)
            if kind not in self._known:
                where: dict[str, Any] = {"function": kind[0], "service": kind[1], "operation": kind[2]}
                early, late = (self._random.randint(1, _FIRST_CALLS) for _ in range(2))
                deaths = (
                    Fault.death("before", **where, times=Only(early)),
                    Fault.death("after", **where, times=Only(late)),
                )
                self._known[kind] = deaths
        return [death for both in self._known.values() for death in both]

    def counts(self, faults: Faults) -> dict[str, int]:
        """How often processes were killed, and the number of kinds of calls."""
        before, after = ([both[place] for both in self._known.values()] for place in (0, 1))
        return {
            KINDS: len(self._known),
            "killed before a call": sum(map(faults.injected_count, before)),
            "killed after a call": sum(map(faults.injected_count, after)),
        }

    def not_killed(self, faults: Faults) -> Iterator[str]:
        """The points at which no process was killed, because the call was too rare."""
        for (function, service, operation), deaths in self._known.items():
            for when, death in zip(("before", "after"), deaths, strict=True):
                if not faults.injected_count(death):
                    yield f"{function}: {when} {service} {operation}"


def throttling(seed: int) -> Iterator[Labelled]:
    """AWS throttles random calls, and some functions' calls until botocore gives up."""
    for number, (service, code, likely) in enumerate(_CODES):
        yield f"throttled ({service})", Fault.throttled(code, service=service, times=Chance(likely, seed + number))
    for function, write in _FAILING.items():
        yield (
            f"throttled until the function sees it ({write})",
            Fault.throttled(function=function, operation=write, times=_ATTEMPTS),
        )


def conflicts(seed: int) -> Iterator[Labelled]:
    """Transactions conflict with others."""
    yield "transaction conflicts", Fault.conflict(times=Chance(0.15, seed))


def timeouts(seed: int) -> Iterator[Labelled]:
    """Calls time out: they never arrived, or they took effect."""
    for when in ("before", "after"):
        label = f"time-outs of calls that {'took' if when == 'after' else 'did not take'} effect"
        yield label, Fault.timeout(when, service="dynamodb", times=Chance(0.02, seed))
        yield label, Fault.timeout(when, service="events", times=Chance(0.05, seed))
        for function, write in _FAILING.items():
            yield (
                f"{label}, until the function sees it",
                Fault.timeout(when, function=function, operation=write, times=_ATTEMPTS),
            )


def partial(seed: int) -> Iterator[Labelled]:
    """AWS processes only some entries or keys of a call."""
    for take in (0, 1, 3):
        yield (
            "PutEvents that accept only some entries",
            Fault.partial(take, operation="PutEvents", times=Chance(0.2, seed + take)),
        )
    for take in (0, 1):
        yield (
            "BatchGetItems that return only some keys",
            Fault.partial(take, operation="BatchGetItem", times=Chance(0.1, seed + take)),
        )


def mail_down() -> Iterator[Labelled]:
    """The e-mail service and the pager refuse all calls."""
    busy = "TooManyRequestsException"
    yield "e-mails refused: the e-mail service is down", Fault.throttled(busy, service="sesv2", times=ALWAYS)
    yield "pages refused: the pager is down", Fault.throttled("Throttled", service="sns", times=ALWAYS)


def mail_unanswered() -> Iterator[Labelled]:
    """An e-mail or a page is sent, but the answer is lost."""
    yield "e-mails sent, answer lost", Fault.timeout("after", service="sesv2", times=Every(3))
    yield "pages sent, answer lost", Fault.timeout("after", service="sns", times=Every(3))


def injected_counts(labelled: Iterable[Labelled], faults: Faults) -> Mapping[str, int]:
    """How often the faults with each name were injected."""
    counts: Counter[str] = Counter()
    for label, fault in labelled:
        counts[label] += faults.injected_count(fault)
    return counts

"""A fault: which calls it affects, and how often."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self, Unpack

    from daybook.local.faults.guard import Guard

When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Every:
    """Affect every nth matching call."""

    nth: int


@dataclass(frozen=True, slots=True)
class Chance:
    """Affect each matching call with this probability. The same seed affects the same calls, by their number."""

    probability: float
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Only:
    """Affect one matching call; the first is number 1."""

    number: int


ALWAYS = Every(1)
Times = int | Every | Only | Chance


class Where(TypedDict, total=False):
    """Which calls a fault affects. A key that is not given matches every call.

    `function` is the consumer's name; `service` and `operation` are botocore's names; `table` is the name in the
    service's stack (`store` and `ledger` for the backbone); `mentions` are texts that the body of the call contains,
    such as an order id. `times`: the number of calls from the first on, or `Every`, `Only` or `Chance`.
    """

    function: str
    service: str
    operation: str
    table: str
    mentions: str | Sequence[str]
    times: Times


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, created by one of the methods below. Its own count starts when it is first injected.

    botocore retries a call that AWS throttles or does not answer. `throttled`, `timeout`, `death`, `delay`, `barrier`
    and
    `conflict` affect each of these attempts separately: the function sees an error only after three in a row.
    """

    what: str
    where: Where
    details: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def death(cls, when: When, **where: Unpack[Where]) -> Self:
        """Kill the process before the call is sent, or after it took effect."""
        return cls("death", where, {"when": when})

    @classmethod
    def delay(cls, seconds: float, when: When = "before", **where: Unpack[Where]) -> Self:
        """Delay the call, or its answer, by this time."""
        return cls("delay", where, {"when": when, "seconds": seconds})

    @classmethod
    def barrier(cls, seconds: float, **where: Unpack[Where]) -> Self:
        """Hold the first of every two calls until another process makes the second, for at most this time. So both
        processes have read before either writes.
        """
        return cls("barrier", where, {"when": "before", "seconds": seconds})

    @classmethod
    def throttled(cls, code: str = "ThrottlingException", **where: Unpack[Where]) -> Self:
        """AWS refuses the call with this error code; the call has no effect."""
        return cls("error", where, {"when": "before", "code": code})

    @classmethod
    def denied(cls, **where: Unpack[Where]) -> Self:
        """AWS refuses the call with AccessDenied. botocore does not retry it."""
        return cls("error", where, {"when": "before", "code": "AccessDeniedException"})

    @classmethod
    def conflict(cls, **where: Unpack[Where]) -> Self:
        """A transaction is cancelled because another one holds an item of `table` (by default, of its first part)."""
        return cls("conflict", {"operation": "TransactWriteItems", **where}, {"when": "before"})

    @classmethod
    def timeout(cls, when: When, **where: Unpack[Where]) -> Self:
        """The call times out at once: it never arrived (`before`), or it took effect (`after`)."""
        return cls("timeout", where, {"when": when})

    @classmethod
    def partial(cls, take: int, code: str = "ThrottlingException", **where: Unpack[Where]) -> Self:
        """AWS processes only the last `take` entries or keys of a PutEvents or BatchGetItem. Calls with no more pass.

        The other entries have the error `code`; the other keys are returned as UnprocessedKeys.
        """
        return cls("partial", where, {"take": take, "code": code})

    @classmethod
    def without_conditions(cls, **where: Unpack[Where]) -> Self:
        """Remove the conditions on `table` from transactions. `times` defaults to ALWAYS."""
        return cls("without_conditions", {"operation": "TransactWriteItems", "times": ALWAYS, **where})

    @classmethod
    def without_guard(cls, guard: Guard, **where: Unpack[Where]) -> Self:
        """Remove this guard from the functions' own code. `times` defaults to ALWAYS. The count says how often the
        guard would have acted. Only for a run whose `Faults` were created with `guards=True`.
        """
        return cls("without_guard", {"times": ALWAYS, **where, "operation": guard})

    def rule(self) -> dict[str, Any]:
        """The fault as it is written to the plan."""
        times = self.where.get("times", 1)
        frequency = {"first": times} if isinstance(times, int) else asdict(times)
        return {"id": self.id, "what": self.what, **self.where, **self.details, "times": frequency}

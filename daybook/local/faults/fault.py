"""One thing that goes wrong: which calls it strikes, and how often."""

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
    """Strike every so-manieth call that fits."""

    nth: int


@dataclass(frozen=True, slots=True)
class Chance:
    """Strike each call that fits with this probability. The same seed strikes the same calls, counted as they come."""

    probability: float
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Only:
    """Strike one call that fits, this one: the first is 1."""

    number: int


ALWAYS = Every(1)
Times = int | Every | Only | Chance


class Where(TypedDict, total=False):
    """Which calls a fault strikes; what is not said, fits all.

    `function` is the consumer's name, `service` and `operation` are botocore's, `table` is named as the service's stack
    names it (the backbone's are `store` and `ledger`), `mentions` are texts that the call's body holds, such as an
    order's number. `times`: the first so many calls, `Every`, `Only` or `Chance`.
    """

    function: str
    service: str
    operation: str
    table: str
    mentions: str | Sequence[str]
    times: Times


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, made by one of the methods below. It is counted by itself, from the first time it is brought.

    A call that AWS throttles or does not answer is sent again by botocore. `throttled` and `timeout` strike, as
    `death`, `delay`, `meeting` and `conflict` do, each such attempt by itself: three in a row reach the function.
    """

    what: str
    where: Where
    details: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def death(cls, when: When, **where: Unpack[Where]) -> Self:
        """The process is killed, before the call is sent or after it took effect."""
        return cls("death", where, {"when": when})

    @classmethod
    def delay(cls, seconds: float, when: When = "before", **where: Unpack[Where]) -> Self:
        """The call, or its answer, takes so much longer."""
        return cls("delay", where, {"when": when, "seconds": seconds})

    @classmethod
    def meeting(cls, seconds: float, **where: Unpack[Where]) -> Self:
        """Of every two calls the first is not sent before the second is there, from another process; it waits so long
        at the most. So both have read before either writes.
        """
        return cls("meeting", where, {"when": "before", "seconds": seconds})

    @classmethod
    def throttled(cls, code: str = "ThrottlingException", **where: Unpack[Where]) -> Self:
        """AWS refuses the call, which has no effect, with this code."""
        return cls("error", where, {"when": "before", "code": code})

    @classmethod
    def denied(cls, **where: Unpack[Where]) -> Self:
        """AWS refuses the call as forbidden. botocore does not send it again."""
        return cls("error", where, {"when": "before", "code": "AccessDeniedException"})

    @classmethod
    def conflict(cls, **where: Unpack[Where]) -> Self:
        """A transaction is cancelled: another one holds an item of its `table` (of its first part, if unsaid)."""
        return cls("conflict", {"operation": "TransactWriteItems", **where}, {"when": "before"})

    @classmethod
    def timeout(cls, when: When, **where: Unpack[Where]) -> Self:
        """No answer comes, and that at once: the call never arrived (`before`), or it took effect (`after`)."""
        return cls("timeout", where, {"when": when})

    @classmethod
    def partial(cls, take: int, code: str = "ThrottlingException", **where: Unpack[Where]) -> Self:
        """Of a PutEvents or BatchGetItem only the last `take` entries or keys are taken; calls with no more pass.

        The entries that are not taken have the error `code`; keys come back as UnprocessedKeys.
        """
        return cls("partial", where, {"take": take, "code": code})

    @classmethod
    def unguarded(cls, **where: Unpack[Where]) -> Self:
        """Transactions write to the `table` without their conditions there, always unless told otherwise."""
        return cls("unguarded", {"operation": "TransactWriteItems", "times": ALWAYS, **where})

    @classmethod
    def without(cls, guard: Guard, **where: Unpack[Where]) -> Self:
        """Functions lack this guard of their own code, always unless told otherwise. Its count is how often they would
        have needed it. Only in a run whose `Faults` were made with `guards=True`.
        """
        return cls("without", {"times": ALWAYS, **where, "operation": guard})

    def rule(self) -> dict[str, Any]:
        """The fault as the plan holds it."""
        times = self.where.get("times", 1)
        often = {"first": times} if isinstance(times, int) else asdict(times)
        return {"id": self.id, "what": self.what, **self.where, **self.details, "times": often}

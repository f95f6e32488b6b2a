"""One thing that goes wrong between us and the provider: which calls it strikes, and how often."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self, Unpack

When = Literal["before", "after"]
ALWAYS: Final = None
Times = int | None


class Where(TypedDict, total=False):
    """Which calls a fault strikes; what is not said, fits all.

    `operation` is named as Stripe's client names it: `payment_intents.create`, `.retrieve`, `.confirm`, `.cancel`,
    `.list`, `refunds.create`, `.retrieve`, `.list`, `balance.retrieve`. `order` is the order in the metadata, `intent`
    the id of the payment intent, `payment_method` the name of the test payment method. `times`: the first so many calls
    that fit, one unless said, or `ALWAYS`.
    """

    operation: str
    order: str
    intent: str
    payment_method: str
    times: Times


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, made by one of the methods below. It is counted by itself, from the first time it is brought.

    Stripe's client sends a call again by itself, twice unless told otherwise, after a dropped connection and after most
    errors below. Each such try counts.
    """

    what: str
    where: Where
    details: Mapping[str, Any]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def dropped(cls, when: When, **where: Unpack[Where]) -> Self:
        """The connection ends without an answer: the call never arrived (`before`), or it took effect (`after`)."""
        return cls("dropped", where, {"when": when})

    @classmethod
    def delayed(cls, seconds: float, when: When = "before", **where: Unpack[Where]) -> Self:
        """The call takes so much longer, at most until the fault is lifted.

        `before`: its idempotency key is in use meanwhile; `after`: its answer is on its way, and is given again to
        whoever asks with the same key.
        """
        return cls("delayed", where, {"when": when, "seconds": seconds})

    @classmethod
    def server_error(cls, when: When = "before", **where: Unpack[Where]) -> Self:
        """Stripe fails, having done nothing (`before`) or all (`after`), and gives the same key the same 500 again.

        docs.stripe.com/error-low-level#server-errors: "treat the result of a 500 request as indeterminate".
        """
        return cls.error(500, "api_error", "An unknown error occurred", when=when, kept=True, retry=False, **where)

    @classmethod
    def unavailable(cls, when: When = "before", **where: Unpack[Where]) -> Self:
        """503 from in front of Stripe's API: nothing was done (`before`), or the true answer is lost (`after`)."""
        return cls.error(503, "api_error", "Stripe is temporarily unavailable.", when=when, **where)

    @classmethod
    def rate_limited(cls, **where: Unpack[Where]) -> Self:
        """429: too many requests, and nothing was done. docs.stripe.com/rate-limits."""
        message = "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
        return cls.error(429, "invalid_request_error", message, code="rate_limit", **where)

    @classmethod
    def lock_timeout(cls, **where: Unpack[Where]) -> Self:
        """429: another request holds the object, and nothing was done. Stripe's client is told to send the call again.

        docs.stripe.com/rate-limits#object-lock-timeouts.
        """
        message = (
            "This object cannot be accessed right now because another API request or Stripe process is currently "
            "accessing it. If you see this error intermittently, retry the request. If you see this error frequently "
            "and are making multiple concurrent requests to a single object, make your requests serially or at a lower "
            "rate."
        )
        return cls.error(429, "invalid_request_error", message, code="lock_timeout", retry=True, **where)

    @classmethod
    def error(
        cls,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        when: When = "before",
        kept: bool = False,
        retry: bool | None = None,
        **where: Unpack[Where],
    ) -> Self:
        """Any HTTP status with an error of this type, message and code.

        `kept`: whether it comes from within the execution, and so is what the idempotency key is answered from then on.
        `retry`: what Stripe says about sending the call again, if it says anything.
        """
        said = {"type": kind, "message": message, "code": code}
        headers = {} if retry is None else {"Stripe-Should-Retry": str(retry).lower()}
        error = {name: value for name, value in said.items() if value is not None}
        return cls(
            "error",
            where,
            {"when": when, "kept": kept, "status": HTTPStatus(status), "error": error, "headers": headers},
        )

    def rule(self) -> dict[str, Any]:
        """The fault as the stand-in is told of it."""
        return {"id": self.id, "what": self.what, "times": 1, **self.where, **self.details}

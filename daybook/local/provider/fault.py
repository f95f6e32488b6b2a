"""A fault between the payments service and the provider: which calls it affects, and how often."""

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
    """Which calls a fault affects. A key that is not given matches every call.

    `operation` has the name in Stripe's client: `payment_intents.create`, `.retrieve`, `.confirm`, `.cancel`, `.list`,
    `refunds.create`, `.retrieve`, `.list`, `balance.retrieve`. `order` is the order id in the metadata, `intent` the id
    of the payment intent, `payment_method` the name of the test payment method. `times`: the number of matching calls
    from the first on, by default one, or `ALWAYS`.
    """

    operation: str
    order: str
    intent: str
    payment_method: str
    times: Times


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, created by one of the methods below. Its own count starts when it is first injected.

    Stripe's client retries, by default twice, after a dropped connection and after most errors below. Each attempt
    counts.
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
        """Delay the call by this time, at most until the fault is lifted.

        `before`: the idempotency key is in use meanwhile. `after`: the answer is delayed; another request with the same
        key gets it at once.
        """
        return cls("delayed", where, {"when": when, "seconds": seconds})

    @classmethod
    def server_error(cls, when: When = "before", **where: Unpack[Where]) -> Self:
        """Stripe fails after doing nothing (`before`) or everything (`after`). The same key gets the same 500 again.

        docs.stripe.com/error-low-level#server-errors: "treat the result of a 500 request as indeterminate".
        """
        return cls.error(500, "api_error", "An unknown error occurred", when=when, kept=True, retry=False, **where)

    @classmethod
    def unavailable(cls, when: When = "before", **where: Unpack[Where]) -> Self:
        """503 from a proxy before Stripe's API: nothing was done (`before`), or the real answer is lost (`after`)."""
        return cls.error(503, "api_error", "Stripe is temporarily unavailable.", when=when, **where)

    @classmethod
    def rate_limited(cls, **where: Unpack[Where]) -> Self:
        """429: too many requests; nothing was done. docs.stripe.com/rate-limits."""
        message = "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
        return cls.error(429, "invalid_request_error", message, code="rate_limit", **where)

    @classmethod
    def lock_timeout(cls, **where: Unpack[Where]) -> Self:
        """429: another request has locked the object; nothing was done. Stripe tells its client to retry.

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

        `kept`: the error occurs during execution, so the idempotency key gets it again. `retry`: the value of the
        header Stripe-Should-Retry, if any.
        """
        fields = {"type": kind, "message": message, "code": code}
        headers = {} if retry is None else {"Stripe-Should-Retry": str(retry).lower()}
        error = {name: value for name, value in fields.items() if value is not None}
        return cls(
            "error",
            where,
            {"when": when, "kept": kept, "status": HTTPStatus(status), "error": error, "headers": headers},
        )

    def rule(self) -> dict[str, Any]:
        """The fault as it is sent to the stand-in."""
        return {"id": self.id, "what": self.what, "times": 1, **self.where, **self.details}

"""Errors as Stripe answers them: docs.stripe.com/api/errors and docs.stripe.com/error-codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

INVALID = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: an HTTP status, an object of Stripe's or an error, and headers."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """Stripe does not do what it was asked.

    `kind` is the error's type, `param` the parameter at fault, `more` what stands in the error besides: the
    payment_intent that it is about, a decline_code.
    """

    def __init__(
        self, status: int, kind: str, message: str, code: str | None = None, param: str | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers: dict[str, str] = {}
        page = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}" if code else None
        said = {"code": code, "doc_url": page, "message": message, "param": param, "type": kind, **more}
        self.error = {name: value for name, value in said.items() if value is not None}

    def answer(self) -> Answer:
        """The refusal as it is sent."""
        return Answer(self.status, {"error": self.error}, self.headers)


def invalid(code: str | None, message: str, param: str | None = None, **more: Any) -> Refusal:
    """400: what was asked cannot be done, now or ever."""
    return Refusal(HTTPStatus.BAD_REQUEST, INVALID, message, code, param, **more)


def missing(what: str, identifier: str, param: str, status: int = HTTPStatus.BAD_REQUEST) -> Refusal:
    """There is no such object: 400 if a parameter names it, 404 if the path does."""
    return Refusal(status, INVALID, f"No such {what}: '{identifier}'", "resource_missing", param)


def unexpected_state(intent: Mapping[str, Any], message: str) -> Refusal:
    """The intent is in a state in which this cannot be done: docs.stripe.com/error-codes."""
    return invalid("payment_intent_unexpected_state", message, payment_intent=intent)

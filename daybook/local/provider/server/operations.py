"""The supported requests, by their names in Stripe's client."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from daybook.local.provider.server import intents, listing, parameters, refunds
from daybook.local.provider.server.account import Account
from daybook.local.provider.server.refusal import INVALID, Rejection, invalid

# Account, id in the path, parameters, idempotency key -> the object to return.
Perform = Callable[[Account, str, Mapping[str, Any], str | None], dict[str, Any]]
Reading = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of request: how it is recognized, how its parameters are read, how it is executed."""

    name: str
    method: str
    path: str
    read: Reading
    perform: Perform


def _refund_to_create(form: Mapping[str, Any]) -> dict[str, Any]:
    params = parameters.CREATE_REFUND.read(form)
    if not {"charge", "payment_intent"} & set(params):
        raise invalid("parameter_missing", "Missing required param: charge.", "charge")
    return params


def _balance(account: Account) -> dict[str, Any]:
    """docs.stripe.com/api/balance/balance_retrieve. All payments are still pending."""
    sums: dict[str, int] = {"usd": 0}
    for charge in account.charges.values():
        sums[charge.intent.currency] = sums.get(charge.intent.currency, 0) + charge.left
    pending = [{"amount": total, "currency": each, "source_types": {"card": total}} for each, total in sums.items()]
    available = [{"amount": 0, "currency": each, "source_types": {"card": 0}} for each in sums]
    return {"object": "balance", "available": available, "livemode": False, "pending": pending}


def _all(objects: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [each.as_stripe() for each in objects.values()]


OPERATIONS: Final = (
    Operation(
        "payment_intents.create",
        "POST",
        "/v1/payment_intents",
        parameters.intent_to_create,
        lambda account, _, params, key: intents.create(account, params, key).as_stripe(),
    ),
    Operation(
        "payment_intents.list",
        "GET",
        "/v1/payment_intents",
        parameters.LIST.read,
        lambda account, _, params, __: listing.page(_all(account.intents), params, "/v1/payment_intents"),
    ),
    Operation(
        "payment_intents.retrieve",
        "GET",
        "/v1/payment_intents/{id}",
        parameters.NOTHING.read,
        lambda account, identifier, _, __: account.intent(identifier).as_stripe(),
    ),
    Operation(
        "payment_intents.confirm",
        "POST",
        "/v1/payment_intents/{id}/confirm",
        parameters.CONFIRM_INTENT.read,
        lambda account, identifier, params, key: intents.confirm(
            account, account.intent(identifier), params, key
        ).as_stripe(),
    ),
    Operation(
        "payment_intents.cancel",
        "POST",
        "/v1/payment_intents/{id}/cancel",
        parameters.CANCEL_INTENT.read,
        lambda account, identifier, params, _: intents.cancel(account.intent(identifier), params).as_stripe(),
    ),
    Operation(
        "refunds.create",
        "POST",
        "/v1/refunds",
        _refund_to_create,
        lambda account, _, params, key: refunds.create(account, params, key).as_stripe(),
    ),
    Operation(
        "refunds.list",
        "GET",
        "/v1/refunds",
        parameters.LIST_REFUNDS.read,
        lambda account, _, params, __: listing.page(
            [refund.as_stripe() for refund in refunds.select(account, params)], params, "/v1/refunds"
        ),
    ),
    Operation(
        "refunds.retrieve",
        "GET",
        "/v1/refunds/{id}",
        parameters.NOTHING.read,
        lambda account, identifier, _, __: refunds.retrieve(account, identifier).as_stripe(),
    ),
    Operation(
        "balance.retrieve",
        "GET",
        "/v1/balance",
        parameters.NOTHING.read,
        lambda account, _, __, ___: _balance(account),
    ),
)

_PATTERNS: Final = [(each, re.compile(re.sub(r"\{id\}", r"([^/]+)", each.path))) for each in OPERATIONS]


def find(method: str, path: str) -> tuple[Operation, str]:
    """The operation for a request, and the id in its path if there is one.

    Raises Rejection for an unknown URL, as Stripe does.
    """
    for operation, pattern in _PATTERNS:
        if operation.method == method and (match := pattern.fullmatch(path)):
            return operation, "".join(match.groups())
    hint = (
        " If you are trying to list objects, remove the trailing slash. If you are trying to retrieve an object, make "
        "sure you passed a valid (non-empty) identifier in your code."
        if path.endswith("/")
        else ""
    )
    raise Rejection(
        HTTPStatus.NOT_FOUND,
        INVALID,
        f"Unrecognized request URL ({method}: {path}).{hint} Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
    )

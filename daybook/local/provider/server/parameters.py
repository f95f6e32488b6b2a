"""The parameters of each operation, and Stripe's errors for invalid ones.

Only parameters that the stand-in implements, or that have no visible effect, are known. It rejects any other as
unknown, so that it never ignores one silently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from daybook.local.provider.server import currencies
from daybook.local.provider.server.refusal import invalid

Read = Callable[[str, Any], Any]  # a parameter's name and raw value -> its value


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one operation: how to read each, and which are required."""

    known: Mapping[str, Read] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    def read(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """The values by name. Raises Rejection for a missing, unknown or malformed parameter, as Stripe does."""
        for name in form:
            if name == "payment_method_types":
                raise invalid("payment_method_types_no_longer_supported", _NO_LONGER, name)
            if name not in self.known:
                raise invalid("parameter_unknown", f"Received unknown parameter: {name}", name)
        for name in self.required:
            if name not in form:
                raise invalid("parameter_missing", f"Missing required param: {name}.", name)
        return {name: self.known[name](name, value) for name, value in form.items()}


# docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-payment-intents-…
_NO_LONGER: Final = (
    "The payment_method_types parameter is no longer supported. Use allowed_payment_method_types or "
    "automatic_payment_methods instead."
)


def text(name: str, value: Any) -> str:
    """A non-empty string."""
    if value == "":
        raise invalid(
            "parameter_invalid_empty",
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a field; however "
            f"'{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value.",
            name,
        )
    if not isinstance(value, str):
        raise invalid(None, f"Invalid string: {value}", name)
    return value


def whole_number(name: str, value: Any) -> int:
    """A positive integer."""
    digits = text(name, value)
    if not digits.removeprefix("-").isdecimal():
        raise invalid("parameter_invalid_integer", f"Invalid integer: {digits}", name)
    if int(digits) < 1:
        raise invalid("parameter_invalid_integer", "This value must be greater than or equal to 1.", name)
    return int(digits)


def page_size(name: str, value: Any) -> int:
    """The size of a page: docs.stripe.com/api/pagination."""
    size = whole_number(name, value)
    if size > _LARGEST_PAGE:
        raise invalid("parameter_invalid_integer", f"This value must be less than or equal to {_LARGEST_PAGE}.", name)
    return size


def truth(name: str, value: Any) -> bool:
    """True or false."""
    return bool(one_of("true", "false")(name, value) == "true")


def absence(name: str, value: Any) -> bool:
    """Whether the payment is off session, once or repeatedly."""
    return bool(one_of("true", "false", "one_off", "recurring")(name, value) != "false")


def one_of(*allowed: str) -> Read:
    """One of these words."""

    def read(name: str, value: Any) -> str:
        if text(name, value) not in allowed:
            raise invalid(None, f"Invalid {name}: must be one of {', '.join(allowed)}", name)
        return str(value)

    return read


def texts(name: str, value: Any) -> list[str]:
    """A list of strings."""
    if not isinstance(value, list):
        raise invalid(None, "Invalid array", name)
    return [text(name, each) for each in value]


def mapping(name: str, value: Any) -> dict[str, str]:
    """The user's own keys and values: docs.stripe.com/api/metadata. An empty value unsets its key."""
    if value == "":
        return {}
    if not isinstance(value, dict):
        raise invalid(None, "Invalid object", name)
    return {key: text(f"{name}[{key}]", entry) for key, entry in value.items() if entry != ""}


def tree(name: str, value: Any) -> dict[str, Any]:
    """Nested parameters of any kind."""
    if not isinstance(value, dict):
        raise invalid(None, "Invalid object", name)
    return value


def automatic(name: str, value: Any) -> dict[str, Any]:
    """`automatic_payment_methods`: use the payment methods of the account's settings."""
    within = Parameters({"enabled": truth, "allow_redirects": one_of("always", "never")}, required=("enabled",))
    return {"allow_redirects": "always", **within.read(tree(name, value))}


_LARGEST_PAGE: Final = 100
_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")

# Parameters of confirmation. Creating an intent with them requires confirm=true.
CONFIRMING: Final[Mapping[str, Read]] = {
    "error_on_requires_action": truth,
    "mandate_data": tree,
    "off_session": absence,
    "return_url": text,
}


def _currency(_: str, value: Any) -> str:
    return currencies.known(text("currency", value))


NOTHING: Final = Parameters()
CREATE_INTENT: Final = Parameters(
    {
        "allowed_payment_method_types": texts,
        "amount": whole_number,
        "automatic_payment_methods": automatic,
        "confirm": truth,
        "currency": _currency,
        "description": text,
        "metadata": mapping,
        "payment_method": text,
        "receipt_email": text,
        "statement_descriptor_suffix": text,
        **CONFIRMING,
    },
    required=("amount", "currency"),
)
CONFIRM_INTENT: Final = Parameters({"payment_method": text, "receipt_email": text, **CONFIRMING})
CANCEL_INTENT: Final = Parameters({"cancellation_reason": one_of(*_REASONS, "abandoned")})
LIST: Final = Parameters({"limit": page_size, "starting_after": text})
CREATE_REFUND: Final = Parameters(
    {
        "amount": whole_number,
        "charge": text,
        "metadata": mapping,
        "payment_intent": text,
        "reason": one_of(*_REASONS),
    }
)
LIST_REFUNDS: Final = Parameters({**LIST.known, "charge": text, "payment_intent": text})


def intent_to_create(form: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a new intent, checked together."""
    params = CREATE_INTENT.read(form)
    currencies.chargeable(params["amount"], params["currency"])
    for name in CONFIRMING:
        if name in params and not params.get("confirm"):
            raise invalid(None, f"{name} can only be used with confirm=true.", name)
    if "automatic_payment_methods" in params and "allowed_payment_method_types" in params:
        raise invalid(
            "parameters_exclusive",
            "You may only specify one of these parameters: automatic_payment_methods, allowed_payment_method_types.",
            "allowed_payment_method_types",
        )
    return params

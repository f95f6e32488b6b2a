"""The stand-in's checks of a request before its execution: the key, the URL, the parameters."""

import http.client
import json
from typing import Any

import pytest
import stripe
from stripe.params import PaymentIntentConfirmParams, PaymentIntentCreateParams, RefundCreateParams

from daybook.local.provider import Provider
from daybook.local.provider.server import form, parameters
from tests.local.stripe_client import NO_REDIRECTS, a_client, an_intent, cancel, paid, refund, refused


@pytest.mark.parametrize("key", ["sk_test_anything", "rk_test_restricted"])
def test_any_key_of_test_mode_is_accepted(provider: Provider, key: str) -> None:
    balance = a_client(provider, key=key).v1.balance.retrieve()

    assert (balance.object, balance.livemode) == ("balance", False)
    assert [(each.currency, each.amount) for each in balance.available] == [("usd", 0)]


@pytest.mark.parametrize(
    "key", ["sk_live_4eC39HqLyjWDarjtT1zdp7dc", "pk_test_4eC39HqLyjWDarjt", "nonsense", "sk_test_"]
)
def test_any_other_key_is_rejected_and_masked(provider: Provider, key: str) -> None:
    with refused(stripe.AuthenticationError) as refusal:
        a_client(provider, key=key).v1.balance.retrieve()

    assert refusal.status == 401
    assert refusal.error["type"] == "invalid_request_error"
    assert refusal.error["message"].startswith("Invalid API Key provided: ***")
    assert refusal.error["message"].endswith(key[-4:])
    assert key not in refusal.error["message"]


def test_a_request_without_a_key_is_an_error(provider: Provider) -> None:
    status, body = plain(provider, "GET", "/v1/balance")

    assert status == 401
    assert body["error"]["message"].startswith("You did not provide an API key.")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/customers"), ("DELETE", "/v1/balance"), ("POST", "/v1/refunds/re_1/cancel")]
)
def test_an_unknown_url_is_an_error(provider: Provider, method: str, path: str) -> None:
    status, body = plain(provider, method, path, key=provider.key)

    assert status == 404
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["message"].startswith(f"Unrecognized request URL ({method}: {path}).")


def test_a_url_without_its_id_is_an_error(provider: Provider) -> None:
    _, body = plain(provider, "GET", "/v1/payment_intents/", key=provider.key)

    assert "make sure you passed a valid (non-empty) identifier" in body["error"]["message"]


@pytest.mark.parametrize("name", ["amount", "currency"])
def test_a_missing_parameter_is_named(provider: Provider, name: str) -> None:
    left_out: dict[str, Any] = {name: None}
    with refused() as refusal:
        an_intent(provider, **left_out)

    assert (refusal.status, refusal.error["code"], refusal.error["param"]) == (400, "parameter_missing", name)
    assert refusal.error["doc_url"] == "https://stripe.com/docs/error-codes/parameter-missing"


def test_an_unknown_parameter_is_named(provider: Provider) -> None:
    with refused() as refusal:
        an_intent(provider, colour="red")

    assert (refusal.error["code"], refusal.error["param"]) == ("parameter_unknown", "colour")
    assert refusal.error["message"] == "Received unknown parameter: colour"


def test_payment_method_types_are_no_longer_supported(provider: Provider) -> None:
    with refused() as refusal:
        an_intent(provider, payment_method_types=["card"])

    assert (refusal.status, refusal.error["code"]) == (400, "payment_method_types_no_longer_supported")


@pytest.mark.parametrize(
    ("parameters", "code", "param"),
    [
        ({"amount": "4.20"}, "parameter_invalid_integer", "amount"),
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": -5}, "parameter_invalid_integer", "amount"),
        ({"amount": ""}, "parameter_invalid_empty", "amount"),
        ({"payment_method": ""}, "parameter_invalid_empty", "payment_method"),
        ({"confirm": "yes"}, None, "confirm"),
        ({"metadata": "1001"}, None, "metadata"),
        ({"off_session": True}, None, "off_session"),
        ({"automatic_payment_methods": {"allow_redirects": "never"}}, "parameter_missing", "enabled"),
        (
            {"automatic_payment_methods": NO_REDIRECTS, "allowed_payment_method_types": ["card"]},
            "parameters_exclusive",
            "allowed_payment_method_types",
        ),
    ],
)
def test_a_malformed_parameter_is_named(
    provider: Provider, parameters: dict[str, Any], code: str | None, param: str
) -> None:
    with refused() as refusal:
        an_intent(provider, **parameters)

    assert refusal.status == 400
    assert (refusal.error.get("code"), refusal.error["param"]) == (code, param)
    assert provider.book().payments == ()


@pytest.mark.parametrize(("amount", "currency"), [(49, "eur"), (49, "usd"), (29, "gbp"), (49, "jpy"), (17499, "huf")])
def test_an_amount_below_the_currencys_minimum_is_too_small(provider: Provider, amount: int, currency: str) -> None:
    with refused() as refusal:
        an_intent(provider, amount=amount, currency=currency)

    assert (refusal.status, refusal.error["code"], refusal.error["param"]) == (400, "amount_too_small", "amount")
    assert an_intent(provider, amount=amount + 1, currency=currency).amount == amount + 1


def test_an_amount_of_more_than_eight_digits_is_too_large(provider: Provider) -> None:
    with refused() as refusal:
        an_intent(provider, amount=100_000_000, currency="usd")

    assert (refusal.status, refusal.error["code"]) == (400, "amount_too_large")
    assert refusal.error["message"] == "Amount must be no more than $999,999.99"
    assert an_intent(provider, amount=99_999_999).amount == 99_999_999


@pytest.mark.parametrize("currency", ["xxx", "EUR", "euro"])
def test_a_currency_that_is_unknown_or_not_in_lower_case_is_an_error(provider: Provider, currency: str) -> None:
    with refused() as refusal:
        an_intent(provider, currency=currency)

    assert (refusal.status, refusal.error["param"]) == (400, "currency")
    assert refusal.error["message"].startswith(f"Invalid currency: {currency}. Stripe currently supports")


@pytest.mark.parametrize(
    ("currency", "refused_amount", "taken_amount"), [("kwd", 5124, 5120), ("isk", 550, 500), ("ugx", 501, 500)]
)
def test_amounts_must_be_multiples_of_the_currencys_smallest_unit(
    provider: Provider, currency: str, refused_amount: int, taken_amount: int
) -> None:
    with refused() as refusal:
        an_intent(provider, amount=refused_amount, currency=currency)

    assert (refusal.status, refusal.error["code"]) == (400, "invalid_charge_amount")
    assert an_intent(provider, amount=taken_amount, currency=currency).amount == taken_amount


def test_reasons_must_be_documented(provider: Provider) -> None:
    with refused() as cancelling:
        cancel(provider, an_intent(provider).id, cancellation_reason="out_of_stock")
    with refused() as refunding:
        refund(provider, paid(provider).id, reason="out_of_stock")

    assert (cancelling.error["param"], refunding.error["param"]) == ("cancellation_reason", "reason")


def test_the_stand_in_knows_no_parameter_that_stripes_client_does_not() -> None:
    assert set(parameters.CREATE_INTENT.known) <= set(PaymentIntentCreateParams.__annotations__)
    assert set(parameters.CONFIRM_INTENT.known) <= set(PaymentIntentConfirmParams.__annotations__)
    assert set(parameters.CREATE_REFUND.known) <= set(RefundCreateParams.__annotations__)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("metadata[order]=1001&metadata[a%26b]=c%3Dd", {"metadata": {"order": "1001", "a&b": "c=d"}}),
        ("types[0]=card&types[1]=link", {"types": ["card", "link"]}),
        ("types[]=card&types[]=link", {"types": ["card", "link"]}),
        ("a[b][0][c]=1&description=", {"a": {"b": [{"c": "1"}]}, "description": ""}),
    ],
)
def test_names_of_form_fields_are_paths_in_a_tree(text: str, tree: dict[str, Any]) -> None:
    assert form.decode(text) == tree


def plain(provider: Provider, method: str, path: str, key: str | None = None) -> tuple[int, Any]:
    """A request without Stripe's client: status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=10)
    connection.request(method, path, headers={"Authorization": f"Bearer {key}"} if key else {})
    answer = connection.getresponse()
    try:
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()

"""Several stages and deployments use one account of the provider: each has its own payments."""

import pytest

from daybook.consumers.failure import NonRetryable
from daybook.runtime import settings as here
from daybook.runtime.settings import option_variable
from events.payments import PaymentSucceeded
from functions.payments import provider
from tests.unit.shop.payments import Payments, charge, refund, start_new_process


def as_deployment(monkeypatch: pytest.MonkeyPatch, stage: str, deployment: str) -> None:
    """Continue as a function of this stage and deployment."""
    monkeypatch.setenv(here.STAGE, stage)
    monkeypatch.setenv(option_variable("deployment"), deployment)
    here.settings.cache_clear()
    start_new_process()


@pytest.mark.parametrize(("stage", "deployment"), [("dev", "d-1"), ("test", "d-2")], ids=["stage", "deployment"])
@pytest.mark.parametrize("amount", [4200, 999], ids=["the same amount", "another amount"])
def test_each_deployment_has_its_own_payment_of_an_order(
    payments: Payments, monkeypatch: pytest.MonkeyPatch, stage: str, deployment: str, amount: int
) -> None:
    """Another deployment has used the order's number before."""
    as_deployment(monkeypatch, stage, deployment)
    client, marks = provider.provider(), provider.metadata(order=payments.order)
    params = {"amount": amount, "currency": "eur", "metadata": marks}
    key = provider.key_at_provider(f"charge/{payments.order}")
    other = client.v1.payment_intents.create(params, {"idempotency_key": key})  # type: ignore[arg-type]

    as_deployment(monkeypatch, "test", "d-1")
    charge(payments, payments.reserved())

    (event,) = payments.events()
    assert isinstance(event, PaymentSucceeded)
    assert event.payment_id != other.id
    assert payments.taken() == {"eur": 4200}
    assert payments.dead() == []


@pytest.mark.parametrize("foreign", [{"stage": "dev"}, {"order": "another"}, {"deployment": "d-2"}, {"amount": 999}])
def test_a_payment_that_is_found_under_the_key_must_be_of_this_order(
    payments: Payments, foreign: dict[str, str]
) -> None:
    """The provider answers with a payment of someone else: it is not confirmed, and nobody is charged."""
    wanted = provider.metadata(order=payments.order)
    metadata = {**wanted, **{name: value for name, value in foreign.items() if name != "amount"}}
    found = provider.provider().v1.payment_intents.create({"amount": 4200, "currency": "eur", "metadata": metadata})

    with pytest.raises(NonRetryable, match=next(iter(foreign))):
        provider.check_owner(found, wanted, int(foreign.get("amount", 4200)))


def test_a_key_that_was_used_for_another_request_is_a_dead_letter(payments: Payments) -> None:
    key = provider.key_at_provider(f"charge/{payments.order}")
    intents = provider.provider().v1.payment_intents
    intents.create({"amount": 5000, "currency": "jpy"}, {"idempotency_key": key})

    charge(payments, payments.reserved())

    (dead,) = payments.world.dead_letters()
    assert "another request has used the idempotency key" in dead.attributes["reason"]
    assert payments.taken() == {}


@pytest.mark.parametrize("number", ["#1001", "2026/15", "DE 1001", "a" * 64, "#" * 64])
def test_the_key_of_an_order_number_of_any_form_is_accepted_by_the_provider(payments: Payments, number: str) -> None:
    payments.order = f"{number[:32]}{payments.order[-16:]}{number[48:]}"[:64]

    payment = payments.pay()
    refund(payments, payments.refund_request(payment, refund_id="#" * 64))

    (made,) = payments.refunds()
    assert made.metadata["order"] == payments.order
    assert made.idempotency_key is not None
    assert len(made.idempotency_key) <= 255
    assert made.idempotency_key.isascii()

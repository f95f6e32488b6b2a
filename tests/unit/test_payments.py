"""Customers are charged once and paid back once, whatever becomes of the calls to the payment provider.

The provider is its stand-in, asked by Stripe's own client.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from backbone import clock, settings
from backbone.attempts import OPEN, WITHDRAWN
from backbone.contract import Event
from backbone.envelope import Envelope
from events.inventory import StockReserved
from events.orders import RefundRequested
from events.payments import PaymentFailed, PaymentRefunded, PaymentSucceeded
from functions.payments import charge_order, refund_order
from functions.payments import provider as payments_provider
from local.provider import Fault, Provider
from tests.unit import faults
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.test_effects import outlive
from tests.unit.test_tries import later
from tests.unit.world import NAMES, World, errors

HOUR = timedelta(hours=1)
CONFIRM, CREATE, RETRIEVE = (f"payment_intents.{what}" for what in ("confirm", "create", "retrieve"))


@pytest.fixture(scope="module")
def running_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with Provider(project=Path(tmp_path_factory.mktemp("project"))) as provider:
        yield provider


@pytest.fixture
def provider(running_provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The provider with empty books, known to the functions by its key and its address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(settings.option_variable("stripe-api"), running_provider.endpoint)
    monkeypatch.setenv(settings.option_variable("stripe-key"), NAMES.stripe_key)
    monkeypatch.setenv(settings.CALL_TIMEOUT, "0.5")
    running_provider.reset()
    forget()
    yield running_provider
    forget()


@pytest.fixture
def shop(world: World, provider: Provider) -> World:
    """The world, in which the provider's key is where payments looks for it."""
    boto3.client("secretsmanager").create_secret(Name=NAMES.stripe_key, SecretString=provider.key)
    settings.settings.cache_clear()
    return world


def test_a_good_card_is_charged_once_under_the_orders_name(shop: World, provider: Provider) -> None:
    message = a_charge()

    assert shop.deliver(charge_order.handler, message) == []
    assert shop.deliver(charge_order.handler, message) == []

    (payment,) = provider.book().payments
    assert shop.events("payment/1001") == [
        PaymentSucceeded(order_id="1001", payment_id=payment.id, amount=stock().total)
    ]
    assert (payment.order, payment.amount, payment.currency) == ("1001", 4400, "eur")
    assert provider.book().taken("1001") == {"eur": 4400}


@pytest.mark.parametrize(
    ("amount", "currency", "asked"),
    [(4400, "JPY", ("jpy", 4400)), (500, "ISK", ("isk", 50_000)), (12_340, "KWD", ("kwd", 12_340))],
)
def test_amounts_are_told_in_the_providers_own_units(
    shop: World, provider: Provider, amount: int, currency: str, asked: tuple[str, int]
) -> None:
    shop.deliver(charge_order.handler, a_charge(total={"amount": amount, "currency": currency}))

    assert provider.book().taken() == dict([asked])


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds"}, "insufficient_funds"),
        ({"payment_method": "pm_card_chargeDeclinedExpiredCard"}, "expired_card"),
        ({"payment_method": "pm_card_authenticationRequired"}, "authentication_required"),
        ({"payment_method": "pm_of_nobody"}, "resource_missing"),
        ({"payment_method": ""}, "no_payment_method"),
        ({"total": {"amount": 10, "currency": "EUR"}}, "amount_too_small"),
        ({"total": {"amount": 12_345, "currency": "KWD"}}, "amount_not_chargeable"),
    ],
)
def test_what_cannot_be_paid_is_told_with_the_reason_and_takes_nothing(
    shop: World, provider: Provider, what: dict[str, Any], reason: str
) -> None:
    assert shop.deliver(charge_order.handler, a_charge(**what)) == []

    assert shop.events("payment/1001") == [PaymentFailed(order_id="1001", reason=reason)]
    assert shop.dead_letters() == []
    assert provider.book().taken() == {}


def test_an_order_that_costs_nothing_is_paid_without_asking_anybody(shop: World, provider: Provider) -> None:
    shop.deliver(charge_order.handler, a_charge(total={"amount": 0, "currency": "EUR"}))

    assert [type(event) for event in shop.events("payment/1001")] == [PaymentSucceeded]
    assert provider.book().payments == ()


def test_a_bank_that_takes_its_time_is_waited_for_without_counting(shop: World, provider: Provider) -> None:
    message = in_dollars("pm_usBankAccount_success")

    (again,) = shop.deliver(charge_order.handler, message)
    assert shop.events("payment/1001") == []
    provider.settle("1001")
    assert shop.deliver(charge_order.handler, later(again)) == []

    assert [type(event) for event in shop.events("payment/1001")] == [PaymentSucceeded]
    assert provider.book().taken() == {"usd": 4400}


def test_a_bank_that_declines_at_last_is_told(shop: World, provider: Provider) -> None:
    (again,) = shop.deliver(charge_order.handler, in_dollars("pm_usBankAccount_success"))
    provider.settle("1001", fails="insufficient_funds")

    assert shop.deliver(charge_order.handler, later(again)) == []

    assert [type(event) for event in shop.events("payment/1001")] == [PaymentFailed]


def test_what_is_still_under_way_when_the_time_is_over_is_called_off_if_the_bank_lets_it_be(
    shop: World, provider: Provider
) -> None:
    envelope = recorded(stock(payment_method="pm_usBankAccount_processing", total=DOLLARS, pay_by=in_(HOUR)))
    (again,) = shop.deliver(charge_order.handler, Message(from_the_bus(envelope)))

    assert shop.deliver(charge_order.handler, Message(too_late(envelope), tries=2, id=again.id)) == []

    assert shop.events("payment/1001") == [PaymentFailed(order_id="1001", reason="not_paid_in_time")]
    assert provider.book().taken() == {}


def test_what_the_bank_has_begun_in_time_and_cannot_call_off_is_waited_for(shop: World, provider: Provider) -> None:
    envelope = recorded(stock(payment_method="pm_usBankAccount_success", total=DOLLARS, pay_by=in_(HOUR)))
    message = Message(from_the_bus(envelope))
    (again,) = shop.deliver(charge_order.handler, message)

    late = Message(too_late(envelope), tries=2, id=again.id)
    (again,) = shop.deliver(charge_order.handler, late)
    assert shop.events("payment/1001") == []
    provider.settle("1001")
    assert shop.deliver(charge_order.handler, later(again)) == []

    assert [type(event) for event in shop.events("payment/1001")] == [PaymentSucceeded]


def test_a_good_card_is_not_charged_once_the_time_is_over(shop: World, provider: Provider) -> None:
    assert shop.deliver(charge_order.handler, a_charge(pay_by=in_(-HOUR))) == []

    assert shop.events("payment/1001") == [PaymentFailed(order_id="1001", reason="not_paid_in_time")]
    assert provider.book().taken() == {}


DOUBTS = {
    f"{what.__name__}, {when}, at {operation}": what(when, operation=operation)
    for what in (Fault.dropped, Fault.server_error, Fault.unavailable)
    for when in ("before", "after")
    for operation in (CREATE, CONFIRM)
} | {
    "a slow answer to create": Fault.delayed(30, "after", operation=CREATE),
    "a slow answer to confirm": Fault.delayed(30, "after", operation=CONFIRM),
    "a lock": Fault.lock_timeout(operation=CONFIRM),
    "too many requests": Fault.rate_limited(operation=CREATE),
}


@pytest.mark.parametrize("doubt", DOUBTS.values(), ids=DOUBTS)
def test_whatever_becomes_of_a_call_the_customer_is_charged_once(shop: World, provider: Provider, doubt: Fault) -> None:
    message = a_charge()

    with provider.brings(doubt):
        (again,) = shop.deliver(charge_order.handler, message)
        assert shop.events("payment/1001") == []
    assert shop.deliver(charge_order.handler, later(again)) == []

    assert provider.brought(doubt) == 1
    assert [type(event) for event in shop.events("payment/1001")] == [PaymentSucceeded]
    assert provider.book().taken("1001") == {"eur": 4400}


def test_a_doubt_at_the_last_look_leaves_it_to_the_next(shop: World, provider: Provider) -> None:
    message = a_charge()
    lost, gone = Fault.dropped("after", operation=CONFIRM), Fault.unavailable(operation=RETRIEVE, times=2)

    with provider.brings(lost, gone):
        (again,) = shop.deliver(charge_order.handler, message)
        (again,) = shop.deliver(charge_order.handler, later(again))
        assert shop.deliver(charge_order.handler, later(again)) == []  # the last try that counts

    (dead,) = shop.dead_letters()
    assert (dead.error, dead.attributes["reason"].split(":")[0]) == (
        "OutcomeUnknown",
        "the call ended in APIError, and whether it took effect is not known",
    )
    assert attempt(shop)["state"] == OPEN
    assert shop.deliver(charge_order.handler, dead.body) == []  # somebody sends it again
    assert [type(event) for event in shop.events("payment/1001")] == [PaymentSucceeded]
    assert provider.book().taken() == {"eur": 4400}


def test_the_provider_may_forget_its_keys_between_two_looks(shop: World, provider: Provider) -> None:
    with provider.brings(Fault.dropped("after", operation=CONFIRM)):
        (again,) = shop.deliver(charge_order.handler, a_charge())
    provider.forget_keys()

    assert shop.deliver(charge_order.handler, later(again)) == []

    assert provider.book().taken() == {"eur": 4400}
    assert len(provider.book().payments) == 1


def test_a_payment_that_the_provider_does_not_know_any_more_is_never_called_failed(
    shop: World, provider: Provider
) -> None:
    with provider.brings(Fault.dropped("after", operation=CONFIRM)):
        (again,) = shop.deliver(charge_order.handler, a_charge())
    provider.reset()  # as if the key were another account's by now

    assert shop.deliver(charge_order.handler, later(again)) == []

    assert shop.events("payment/1001") == []
    assert errors(shop.dead_letters()) == ["Rejected"]
    assert attempt(shop)["state"] == OPEN


@pytest.mark.parametrize("key", ["sk_live_revoked", "not a key at all"])
def test_without_a_key_that_the_provider_takes_nothing_is_done_and_nothing_counts(
    shop: World, provider: Provider, key: str
) -> None:
    secrets = boto3.client("secretsmanager")
    secrets.put_secret_value(SecretId=NAMES.stripe_key, SecretString=key)

    (again,) = shop.deliver(charge_order.handler, a_charge())
    assert attempt(shop)["state"] == WITHDRAWN
    secrets.put_secret_value(SecretId=NAMES.stripe_key, SecretString=provider.key)
    forget()
    assert shop.deliver(charge_order.handler, later(again)) == []

    assert provider.book().taken() == {"eur": 4400}
    assert "tries" not in str(shop.items("ledger"))


def test_a_key_that_cannot_be_read_is_told_with_the_reason(
    world: World, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.settings.cache_clear()
    (_,) = world.deliver(charge_order.handler, a_charge())

    assert "cannot be read: ResourceNotFoundException" in capsys.readouterr().out
    assert provider.book().payments == ()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 6))
def test_a_process_that_dies_at_any_of_its_calls_charges_once(
    shop: World, provider: Provider, number: int, after: bool
) -> None:
    faults.die_at_call(number, after=after)

    delivered = outlive(shop, charge_order.handler, a_charge())

    # A look, the attempt, the note, the commit: of these it dies. When it comes again, it is looked up.
    assert delivered.tries == (2 if number <= len(("look", "attempt", "note", "commit")) else 1)
    assert [type(event) for event in shop.events("payment/1001")] == [PaymentSucceeded]
    assert provider.book().taken() == {"eur": 4400}
    assert len(provider.book().payments) == 1


def test_money_is_paid_back_once_however_often_the_same_refund_is_asked_for(shop: World, provider: Provider) -> None:
    payment = a_payment(shop, provider)

    shop.receive(refund_order.handler, refund(payment, "R-1", 500))
    shop.receive(refund_order.handler, refund(payment, "R-1", 500))

    assert provider.book().returned() == {"eur": 500}
    assert [type(event) for event in shop.events("payment/1001")] == [PaymentSucceeded, PaymentRefunded]


@pytest.mark.parametrize(
    "doubt",
    [
        Fault.dropped("before", operation="refunds.create"),
        Fault.dropped("after", operation="refunds.create"),
        Fault.unavailable("after", operation="refunds.create"),
        Fault.server_error("after", operation="refunds.create"),
        Fault.delayed(30, "after", operation="refunds.create"),
    ],
    ids=["never arrived", "answer lost", "503", "500", "slow"],
)
@pytest.mark.parametrize("forgets", [False, True], ids=["in time", "days later"])
def test_whatever_becomes_of_a_refund_the_money_goes_back_once(
    shop: World, provider: Provider, doubt: Fault, forgets: bool
) -> None:
    message = Message(from_the_bus(recorded(refund(a_payment(shop, provider), "R-1", 500))))

    with provider.brings(doubt):
        (again,) = shop.deliver(refund_order.handler, message)
    if forgets:
        provider.forget_keys()
    assert shop.deliver(refund_order.handler, later(again)) == []

    assert provider.book().returned() == {"eur": 500}
    assert [type(event) for event in shop.events("payment/1001")][1:] == [PaymentRefunded]


def test_more_than_is_left_is_not_paid_back_and_is_dead_with_the_reason(shop: World, provider: Provider) -> None:
    payment = a_payment(shop, provider)
    shop.receive(refund_order.handler, refund(payment, "R-1", 4000))

    assert shop.deliver(refund_order.handler, from_the_bus(recorded(refund(payment, "R-2", 401)))) == []

    assert provider.book().returned() == {"eur": 4000}
    (dead,) = shop.dead_letters()
    assert dead.error == "Rejected"


def test_two_refunds_of_one_payment_are_two(shop: World, provider: Provider) -> None:
    payment = a_payment(shop, provider)

    shop.receive(refund_order.handler, refund(payment, "R-1", 500), refund(payment, "R-2", 500))

    assert provider.book().returned() == {"eur": 1000}


DOLLARS = {"amount": 4400, "currency": "USD"}


def in_(time: timedelta) -> str:
    return clock.timestamp(datetime.now(UTC) + time)


def stock(**other: Any) -> StockReserved:
    usual = {"order_id": "1001", "total": {"amount": 4400, "currency": "EUR"}, "payment_method": "pm_card_visa"}
    return StockReserved.model_validate({**usual, **other})


def a_charge(**other: Any) -> Message:
    """A delivery that asks for the order's money."""
    return Message(from_the_bus(recorded(stock(**other))))


def in_dollars(method: str, pay_by: timedelta = HOUR) -> Message:
    return a_charge(payment_method=method, total=DOLLARS, pay_by=in_(pay_by))


def too_late(envelope: Envelope) -> str:
    """The same delivery, had the order's time been over by now."""
    body = json.loads(from_the_bus(envelope))
    body["detail"]["data"]["pay_by"] = in_(-HOUR)
    return json.dumps(body)


def a_payment(shop: World, provider: Provider) -> str:
    """Charge the order; the provider's id of the payment."""
    assert shop.deliver(charge_order.handler, a_charge()) == []
    return provider.book().payments[0].id


def refund(payment: str, refund_id: str, amount: int) -> Event:
    return RefundRequested.model_validate(
        {
            **RefundRequested.example,
            "refund_id": refund_id,
            "payment_id": payment,
            "amount": {"amount": amount, "currency": "EUR"},
        }
    )


def attempt(shop: World) -> dict[str, Any]:
    (row,) = (item for item in shop.items("ledger") if item["event"].startswith("attempt#charge"))
    return row


def forget() -> None:
    """As a process that has just started: neither key nor client at hand."""
    payments_provider._client.cache_clear()  # noqa: SLF001 - they hold the provider's address
    payments_provider._secrets.cache_clear()  # noqa: SLF001 - and its key

"""The provider's records, which tests compare with ours."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import stripe

from daybook.local.provider import Provider, StandIn
from tests.local.stripe_client import a_client, an_intent, confirm, paid, processing, refund, refused, retrieve


def test_a_charge_has_its_order_its_amount_and_its_idempotency_key(provider: Provider) -> None:
    intent = an_intent(provider, order="1001", amount=4200)
    confirm(provider, intent.id, key="charge/1001")

    (charge,) = provider.book().charges
    assert (charge.order, charge.amount, charge.currency) == ("1001", 4200, "eur")
    assert (charge.payment, charge.id, charge.status) == (intent.id, charge_of(provider, intent.id), "succeeded")
    assert (charge.payment_method, charge.idempotency_key) == ("pm_card_visa", "charge/1001")
    assert charge.metadata == {"order": "1001"}
    assert timedelta(0) <= datetime.now(UTC) - charge.at < timedelta(minutes=1)


def test_a_refund_has_its_order_its_amount_and_its_idempotency_key(provider: Provider) -> None:
    intent = paid(provider, order="1001")
    refund(provider, intent.id, amount=1200, key="refund/1001", metadata={"why": "cancelled"})

    (given_back,) = provider.book().refunds
    assert (given_back.order, given_back.amount, given_back.currency) == ("1001", 1200, "eur")
    assert (given_back.payment, given_back.charge) == (intent.id, intent.latest_charge)
    assert given_back.idempotency_key == "refund/1001"
    assert given_back.metadata == {"order": "1001", "why": "cancelled"}


def test_sums_are_by_currency_for_one_order_or_for_all(provider: Provider) -> None:
    refund(provider, paid(provider, order="1001", amount=4200).id, amount=200)
    paid(provider, order="1001", amount=100)
    paid(provider, order="1002", amount=1000, currency="usd")
    processing(provider, order="1003")

    book = provider.book()
    assert book.taken() == {"eur": 4300, "usd": 1000}
    assert book.returned() == {"eur": 200}
    assert book.kept() == {"eur": 4100, "usd": 1000}
    assert (book.taken(order="1001"), book.kept(order="1001")) == ({"eur": 4300}, {"eur": 4100})
    assert (book.taken(order="1003"), book.kept(order="1004")) == ({}, {})
    assert book.orders == {"1001", "1002", "1003"}


def test_the_book_has_payments_of_every_status(provider: Provider) -> None:
    paid(provider, order="1001")
    an_intent(provider, order="1002")
    with refused(stripe.CardError):
        paid(provider, order="1003", payment_method="pm_card_visa_chargeDeclined")

    book = provider.book()
    assert [(payment.order, payment.status) for payment in book.payments] == [
        ("1001", "succeeded"),
        ("1002", "requires_confirmation"),
        ("1003", "requires_payment_method"),
    ]
    assert [(charge.status, charge.failure) for charge in book.charges] == [
        ("succeeded", None),
        ("failed", "generic_decline"),
    ]


def test_calls_are_counted_with_replays_and_errors(provider: Provider) -> None:
    for _ in range(2):
        an_intent(provider, key="charge/1001")
    with refused():
        an_intent(provider, colour="red")
    a_client(provider).v1.balance.retrieve()

    assert provider.book().calls == {"payment_intents.create": 3, "balance.retrieve": 1}


def test_of_many_concurrent_calls_with_one_key_only_one_charges(provider: Provider) -> None:
    intent = an_intent(provider)

    def attempt(_: int) -> bool:
        try:
            return confirm(provider, intent.id, key="charge/1001").status == "succeeded"
        except stripe.APIError as error:
            return error.code == "idempotency_key_in_use"

    with ThreadPoolExecutor(8) as crowd:
        assert all(crowd.map(attempt, range(40)))
    assert provider.book().taken() == {"eur": 4200}


def test_the_book_can_be_read_with_the_endpoint_only(provider: Provider) -> None:
    paid(provider)

    assert StandIn(provider.endpoint).book().taken() == {"eur": 4200}


def test_a_reset_removes_all_records_and_keys(provider: Provider) -> None:
    paid(provider, key="charge/1001")
    provider.reset()

    book = provider.book()
    assert (book.payments, book.charges, book.refunds, book.calls) == ((), (), (), {})
    assert paid(provider, amount=9900, key="charge/1001").amount == 9900


def charge_of(provider: Provider, intent: str) -> str:
    """The id of the intent's latest charge."""
    return str(retrieve(provider, intent).latest_charge)

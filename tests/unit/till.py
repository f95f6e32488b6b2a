"""The payments service between a stage in moto and the payment provider's stand-in, about one order of its own."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from daybook.consumers.consumer import Consumer
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.local.provider import Charge, Provider, Refund
from events.inventory import StockReserved
from events.orders import RefundRequested
from events.payments import PaymentFailed, PaymentSucceeded
from functions.payments import charge_order, provider, refund_order
from tests.unit.builders import Message, a_customer, from_the_bus, money, recorded
from tests.unit.faults import Death
from tests.unit.test_effects import time_passes
from tests.unit.world import Context, World

SECRET = "stripe-key"  # the secret's name


@dataclass
class Till:
    """What payments does about one order, and what the provider has in its book about it."""

    world: World
    provider: Provider
    order: str = field(default_factory=lambda: f"T-{uuid.uuid4().hex}")

    def reserved(self, method: str = "pm_card_visa", amount: int = 4200, currency: str = "EUR") -> StockReserved:
        """The order's goods, to be paid within half an hour."""
        pay_by = datetime.now(UTC) + timedelta(minutes=30)
        total = money(amount, currency)
        return StockReserved(order_id=self.order, total=total, payment_method=method, pay_by=pay_by)

    def paid(self, amount: int = 4200, currency: str = "EUR") -> str:
        """Have the order paid; the provider's id of the payment."""
        charge(self, self.reserved(amount=amount, currency=currency))
        (told,) = self.told()
        assert isinstance(told, PaymentSucceeded)
        return told.payment_id

    def refund(
        self, payment: str, amount: int = 4200, refund_id: str = "R-1", currency: str = "EUR"
    ) -> RefundRequested:
        """A refund of the order, which the service desk has asked for."""
        return RefundRequested(
            order_id=self.order,
            refund_id=refund_id,
            payment_id=payment,
            amount=money(amount, currency),
            because="service_desk",
            customer=a_customer(),
        )

    def told(self) -> list[Event]:
        """What the service says has happened to the order's money."""
        return self.world.events(f"payment/{self.order}")

    def charges(self) -> list[Charge]:
        """Every try to take the order's money."""
        return [charge for charge in self.provider.book().charges if charge.order == self.order]

    def taken(self) -> dict[str, int]:
        """What the customer has paid, as Stripe counts it."""
        return self.provider.book().taken(self.order)

    def refunds(self) -> list[Refund]:
        """What was paid back."""
        return [refund for refund in self.provider.book().refunds if refund.order == self.order]

    def payments(self) -> list[str]:
        """What became of the payments that were begun at the provider."""
        return [payment.status for payment in self.provider.book().payments if payment.order == self.order]

    def dead(self) -> list[str]:
        """What kinds of failure the dead letters tell of."""
        return sorted({letter.error for letter in self.world.dead_letters()})

    def attempt(self, idempotency_key: str) -> dict[str, Any]:
        """What is noted of an attempt at this idempotency_key."""
        (row,) = (item for item in self.world.items("ledger") if item["event"] == f"effect#{idempotency_key}")
        return row

    def use_key(self, key: str | None) -> None:
        """Put this key into the secret, for processes that start from now on; None takes the secret away."""
        secrets = boto3.client("secretsmanager")
        if key is None:
            secrets.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
        else:
            secrets.put_secret_value(SecretId=SECRET, SecretString=key)
        new_process()


def new_process() -> None:
    """As if the process had just started: it knows no key and has no connection."""
    provider.secrets.cache_clear()
    provider.client.cache_clear()


def once(till: Till, event: Event, *, handler: Consumer[Any] = charge_order.handler) -> list[Message]:
    """Deliver the event once. The answer are the messages that come again."""
    return till.world.deliver(handler, from_the_bus(recorded(event)))


def the_message(event: Event) -> tuple[Envelope, Message]:
    envelope = recorded(event)
    return envelope, Message(from_the_bus(envelope))


def outlive(
    till: Till,
    message: Message,
    *,
    handler: Consumer[Any] = charge_order.handler,
    between: Callable[[], object] = lambda: None,
) -> int:
    """Deliver a message until it does not come again, whatever becomes of the processes; how often that was."""
    for number in range(1, 21):
        try:
            again = till.world.deliver(handler, message, context=Context(60, 1))
        except Death:
            again = [message]
        time_passes(till.world)
        between()
        if not again:
            return number
        message = replace(message, tries=message.tries + 1, age=message.age + 400)
    msg = "the message comes again for ever"
    raise AssertionError(msg)


def charge(till: Till, stock: StockReserved, *, between: Callable[[], object] = lambda: None) -> int:
    """Deliver the reservation until it is done with."""
    return outlive(till, the_message(stock)[1], between=between)


def pay_back(till: Till, refund: RefundRequested, *, between: Callable[[], object] = lambda: None) -> int:
    """Deliver the wish for a refund until it is done with."""
    return outlive(till, the_message(refund)[1], handler=refund_order.handler, between=between)


def adds_up(till: Till) -> None:
    """The customer was charged once at most, and what is told is what the book says: paid, not paid, or not known."""
    told, dead = till.told(), till.dead()
    succeeded = [charge for charge in till.charges() if charge.status == "succeeded"]
    assert len(succeeded) <= 1, till.charges()
    assert len(told) <= 1, told
    if not told:
        assert dead in (["OutcomeUnknown"], ["ProcessDied"]), dead
    elif isinstance(told[0], PaymentSucceeded):
        assert [charge.payment for charge in succeeded] == [told[0].payment_id]
    else:
        assert isinstance(told[0], PaymentFailed)
        assert succeeded == []

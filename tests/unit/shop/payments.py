"""The payments service about one order, between a stage in memory and the stand-in of the payment provider."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from daybook.consumers.consumer import Consumer
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.contracts.identity import key_part
from daybook.local.provider import Charge, Provider, Refund
from daybook.runtime import aws
from events.inventory import StockReserved
from events.orders import RefundRequested
from events.payments import PaymentFailed, PaymentSucceeded
from functions.payments import charge_order, provider, refund_order
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.faults import Death
from tests.unit.shop.builders import a_customer, money
from tests.unit.test_effects import time_passes
from tests.unit.world import NAMES, Context, World

SECRET = "stripe-key"  # the name of the secret
DEPLOYMENT = "d-1"
OWNER = {"stage": NAMES.stage, "deployment": DEPLOYMENT}  # in the metadata of everything at the provider


@dataclass
class Payments:
    """What the payments service and the payment provider know about one order."""

    world: World
    provider: Provider
    order: str = field(default_factory=lambda: f"T-{uuid.uuid4().hex}")

    def reserved(self, method: str = "pm_card_visa", amount: int = 4200, currency: str = "EUR") -> StockReserved:
        """The event that has the order charged. There is half an hour to pay."""
        pay_by = datetime.now(UTC) + timedelta(minutes=30)
        total = money(amount, currency)
        return StockReserved(order_id=self.order, total=total, payment_method=method, pay_by=pay_by)

    def pay(self, amount: int = 4200, currency: str = "EUR") -> str:
        """Charge the order. Returns the id of the payment at the provider."""
        charge(self, self.reserved(amount=amount, currency=currency))
        (event,) = self.events()
        assert isinstance(event, PaymentSucceeded)
        return event.payment_id

    def refund_request(
        self, payment: str, amount: int = 4200, refund_id: str = "R-1", currency: str = "EUR"
    ) -> RefundRequested:
        """A request for a refund that the service desk has claimed."""
        return RefundRequested(
            order_id=self.order,
            refund_id=refund_id,
            payment_id=payment,
            amount=money(amount, currency),
            reason="service_desk",
            customer=a_customer(),
        )

    def events(self) -> list[Event]:
        """The events that the service has emitted about the order."""
        return self.world.events(f"payment/{key_part(self.order)}")

    def charges(self) -> list[Charge]:
        """The charges at the provider, successful or not."""
        return [charge for charge in self.provider.book().charges if charge.order == self.order]

    def taken(self) -> dict[str, int]:
        """The amounts that the customer has paid, by currency, in Stripe's units."""
        return self.provider.book().taken(self.order)

    def refunds(self) -> list[Refund]:
        """The refunds at the provider."""
        return [refund for refund in self.provider.book().refunds if refund.order == self.order]

    def statuses(self) -> list[str]:
        """The status of each payment at the provider."""
        return [payment.status for payment in self.provider.book().payments if payment.order == self.order]

    def dead(self) -> list[str]:
        """The kinds of errors of the dead letters."""
        return sorted({dead_letter.error for dead_letter in self.world.dead_letters()})

    def effect_record(self, idempotency_key: str) -> dict[str, Any]:
        (row,) = (item for item in self.world.items("ledger") if item["key"].endswith(f"#effect#{idempotency_key}"))
        return row

    def use_key(self, key: str | None) -> None:
        """Store this key in the secret, and start a new process. None deletes the secret."""
        secrets = aws.client("secretsmanager")
        if key is None:
            secrets.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
        else:
            secrets.put_secret_value(SecretId=SECRET, SecretString=key)
        start_new_process()


def start_new_process() -> None:
    """Continue as a process that has just started: without a key and without a connection."""
    provider.secrets.cache_clear()
    provider.client.cache_clear()


def deliver(payments: Payments, event: Event, *, handler: Consumer[Any] = charge_order.handler) -> list[Message]:
    """Deliver the event once. Returns the messages that are retried."""
    return payments.world.deliver(handler, from_the_bus(recorded(event)))


def message_of(event: Event) -> tuple[Envelope, Message]:
    envelope = recorded(event)
    return envelope, Message(from_the_bus(envelope))


def retry_until_done(
    payments: Payments,
    message: Message,
    *,
    handler: Consumer[Any] = charge_order.handler,
    between: Callable[[], object] = lambda: None,
) -> int:
    """Deliver a message until it is not retried, in a new process if one dies. Returns the number of deliveries."""
    for number in range(1, 21):
        try:
            retried = payments.world.deliver(handler, message, context=Context(60, 1))
        except Death:
            retried = [message]
        time_passes(payments.world)
        between()
        if not retried:
            return number
        message = replace(message, tries=message.tries + 1, age=message.age + 400)
    msg = "the message is still retried after 20 deliveries"
    raise AssertionError(msg)


def charge(payments: Payments, stock: StockReserved, *, between: Callable[[], object] = lambda: None) -> int:
    """Deliver the reservation until it is not retried. Returns the number of deliveries."""
    return retry_until_done(payments, message_of(stock)[1], between=between)


def refund(payments: Payments, request: RefundRequested, *, between: Callable[[], object] = lambda: None) -> int:
    """Deliver the request for a refund until it is not retried. Returns the number of deliveries."""
    return retry_until_done(payments, message_of(request)[1], handler=refund_order.handler, between=between)


def assert_consistent(payments: Payments) -> None:
    """The customer was charged at most once. The event agrees with the provider, or there is a dead letter."""
    events, dead = payments.events(), payments.dead()
    succeeded = [charge for charge in payments.charges() if charge.status == "succeeded"]
    assert len(succeeded) <= 1, payments.charges()
    assert len(events) <= 1, events
    if not events:
        assert dead in (["OutcomeUnknown"], ["ProcessDied"]), dead
    elif isinstance(events[0], PaymentSucceeded):
        assert [charge.payment for charge in succeeded] == [events[0].payment_id]
    else:
        assert isinstance(events[0], PaymentFailed)
        assert succeeded == []

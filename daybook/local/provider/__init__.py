"""A stand-in for the payment provider, Stripe, on the local run: the outside world of the payments service.

    with Provider() as provider:
        client = StripeClient(provider.key, base_addresses={"api": provider.endpoint})
        with provider.brings(Fault.dropped("after", operation="payment_intents.confirm", order="1001")):
            ...
        assert provider.book().taken(order="1001") == {"eur": 4200}

It answers what the payments service calls, as Stripe documents it; the modules in `server` name the pages. All else is
refused. Where Stripe leaves something open, their comments say what was assumed.
"""

from daybook.local.provider.book import Book, Charge, Payment, Refund
from daybook.local.provider.fault import ALWAYS, Fault
from daybook.local.provider.provider import Provider
from daybook.local.provider.stand_in import NothingToSettle, StandIn

__all__ = ["ALWAYS", "Book", "Charge", "Fault", "NothingToSettle", "Payment", "Provider", "Refund", "StandIn"]

"""A stand-in for the payment provider, Stripe, for local runs.

    with Provider() as provider:
        client = StripeClient(provider.key, base_addresses={"api": provider.endpoint})
        with provider.inject(Fault.dropped("after", operation="payment_intents.confirm", order="1001")):
            ...
        assert provider.book().taken(order="1001") == {"eur": 4200}

It implements the requests that the payments service sends, as Stripe documents them; the modules in `server` name the
pages. It rejects all others. Where Stripe's documentation leaves something open, comments state the assumption.
"""

from daybook.local.provider.book import Book, Charge, Payment, Refund
from daybook.local.provider.fault import ALWAYS, Fault
from daybook.local.provider.provider import Provider
from daybook.local.provider.stand_in import NothingToSettle, StandIn

__all__ = ["ALWAYS", "Book", "Charge", "Fault", "NothingToSettle", "Payment", "Provider", "Refund", "StandIn"]

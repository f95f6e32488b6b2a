"""When the provider is asked about a refund that may still fail."""

from datetime import timedelta
from typing import Final

# The times between the checks. The last is 30 days after the refund: a bank that returns it may take that long
# (https://docs.stripe.com/refunds#failed-refunds).
PAUSES: Final = tuple(timedelta(days=days) for days in (1, 2, 4, 7, 16))

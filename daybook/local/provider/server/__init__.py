"""The stand-in's server. It uses the standard library only, so that it starts in a tenth of a second.

The modules name the pages of Stripe's documentation that they follow. Assumptions where the pages leave something open:

* Requests rejected by validation leave their idempotency key unused. Validation is everything that can be checked
  without reading the account. Errors that depend on an intent's state or on an unknown id are kept for the key.
* Off-session payments need no `return_url`: the page on saved cards confirms them without one.
* An attempt that fails because of `error_on_requires_action` ends like an off-session attempt: declined, with a failed
  charge.
* A bank account needs no mandate: `mandate_data` is accepted but not required.
* The code for a rejected fraction (1.5 ISK), the error of a failed bank debit, and the text of some messages. Programs
  decide by codes and types; texts are for people.
"""

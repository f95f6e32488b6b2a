"""What runs in the stand-in's process. The standard library alone, so that it starts in a tenth of a second.

The modules name the pages that they follow. Those leave open, and here it is assumed:

* What counts as validation, whose refusals leave an idempotency key unused: all that can be said of a request without
  looking into the account. What an intent's state or an unknown id forbids is kept and given again.
* That off-session payments need no `return_url`: the page on saved cards confirms them without.
* That an attempt which `error_on_requires_action` fails ends like one off session: declined, with a failed charge.
* That a bank account needs no mandate: `mandate_data` may come, and is not asked for.
* The code of a refused fraction (1.5 ISK), the error of a bank debit that fails, and the words of some messages. Codes
  and types are there to be decided by; words are for people.
"""

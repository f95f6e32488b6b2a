"""Check the invariants from the outside: tables, rules, e-mails, pages and the payment provider's records.

This package imports none of the system's own code, so that an error there cannot also be here.
"""

"""What must hold, looked at from the outside: tables, rules, mailbox, pager and the payment provider's book.

Nothing here imports the system's own code: what it gets wrong must not be got wrong here in the same way.
"""

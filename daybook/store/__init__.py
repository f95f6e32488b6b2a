"""The tables: event store and journal, ledger, timers, rows of state, and the transactions that write them."""

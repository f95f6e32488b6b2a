"""The tables: event store and journal, ledger, timers, services' rows, and the transactions that write them."""

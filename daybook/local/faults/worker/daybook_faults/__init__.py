"""Faults within a function's process. Only `daybook.local.faults` adds this package to the path."""

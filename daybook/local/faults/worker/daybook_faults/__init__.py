"""Faults, from inside a function's process. Only `daybook.local.faults` puts this on a path."""

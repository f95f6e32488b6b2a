"""Faults, from inside a function's process. Only `local.faults` puts this on a path."""

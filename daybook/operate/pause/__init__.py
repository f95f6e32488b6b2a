"""Pausing and resuming consumers."""

"""Daybook: an event-driven backend on AWS. Applications import this package; it imports no application."""

"""Daybook: an event-driven backend on AWS. This package is what an application stands on; it knows no application."""

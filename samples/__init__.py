"""Samples of each business: events to send, and what the demo shows of them."""

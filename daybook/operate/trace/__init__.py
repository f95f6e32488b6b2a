"""Traces events through all services, and lists them."""

"""Bookkeeping: how events get into the store, and out of it onto the event bus."""

"""Putting recorded events on the event bus again."""

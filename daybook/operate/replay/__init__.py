"""Replays recorded events to one consumer."""

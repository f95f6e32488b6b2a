"""Replaying recorded events to one consumer."""

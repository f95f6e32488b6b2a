"""Admission: the way in for events from outside."""

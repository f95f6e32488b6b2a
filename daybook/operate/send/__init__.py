"""Sending events to a stage's ingress bus, as a producer would."""

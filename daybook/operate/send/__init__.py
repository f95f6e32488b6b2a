"""Sends events to the ingress bus of a stage, as a producer would."""

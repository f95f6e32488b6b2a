"""Samples and demo of the shop."""

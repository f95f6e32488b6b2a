"""Pausing consumers, and letting them go on."""

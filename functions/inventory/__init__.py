"""Inventory: what is on the shelf, and what is put aside for whom."""

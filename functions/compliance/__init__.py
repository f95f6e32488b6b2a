"""Compliance: reports of large amounts of cash, structuring, and transfers to or from sanctioned names."""

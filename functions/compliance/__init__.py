"""Compliance: cash that must be reported, cash kept just below that, and transfers with sanctioned names."""

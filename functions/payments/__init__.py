"""Payments: money of orders, at the payment provider."""

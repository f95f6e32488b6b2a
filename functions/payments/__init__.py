"""Payments: charges and refunds of orders, through the payment provider."""

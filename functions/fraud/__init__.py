"""Fraud: transactions that differ from the habits of their account, for a person to examine."""

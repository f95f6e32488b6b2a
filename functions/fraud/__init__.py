"""Fraud: what an account does as a rule, and what is so unlike it that a person should look."""

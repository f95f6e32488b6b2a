"""Brings the whole system up on one machine: no Docker, no account, no credentials."""

"""The audit: the history as a file for somebody else to check, and checking it here."""

"""Views: rebuilding them, and verifying them against the store."""

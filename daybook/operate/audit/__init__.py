"""The audit: export the history as a file, and check that it is complete."""

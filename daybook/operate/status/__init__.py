"""The status of consumers, and the checks of manual setup."""

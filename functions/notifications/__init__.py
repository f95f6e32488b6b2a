"""Notifications: letters to customers, by e-mail. Each is sent at most once."""

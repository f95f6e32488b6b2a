"""Notifications: e-mails to customers. Each is sent at most once."""

"""The kernel that every function stands on. It knows no event and no service."""

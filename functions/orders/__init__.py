"""Orders: one row decides about each order, and a view shows its status."""

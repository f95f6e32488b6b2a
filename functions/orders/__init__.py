"""Orders: the one row that decides about each order, and the view that says where it is."""

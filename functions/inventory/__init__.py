"""Inventory: the stock of each article, and the reservations of orders."""

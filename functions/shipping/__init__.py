"""Shipping: requests to the warehouse to pack and send orders."""

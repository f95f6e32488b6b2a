"""Shipping: parcels, from the wish to send them to the carrier."""

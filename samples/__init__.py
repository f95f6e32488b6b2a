"""Sample events of each business, and the demo that sends them."""

"""Dead letters: listing them, and deciding about them."""

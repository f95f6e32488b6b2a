"""Analytics: what has moved on accounts, at merchants and in each minute, summed up as it happens."""

"""Analytics: totals of transactions on accounts, at merchants and in each minute."""

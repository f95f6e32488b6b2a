"""The contracts: one module for each service, and one with the values that services share."""

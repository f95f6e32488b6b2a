"""Events: contracts, versions, envelopes, and the catalogue of all contracts of an application."""

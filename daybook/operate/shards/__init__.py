"""The number of the journal's shards."""

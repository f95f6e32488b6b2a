"""The infrastructure: one stack for each service."""

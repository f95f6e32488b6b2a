"""The infrastructure: one stack for the backbone, one for each service."""

"""Consumers (reactions, views and effects), and the pipeline that handles their deliveries."""

"""The runtime of a function: its settings, names, AWS clients, logs and metrics."""

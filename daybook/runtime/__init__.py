"""What a function finds where it runs: its settings, names, AWS clients, logs and metrics."""

"""What all commands share: options, output, the way to a stage, and what Ctrl-C does."""

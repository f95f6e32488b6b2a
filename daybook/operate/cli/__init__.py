"""Code that all commands share: options, output, the connection to a stage, and Ctrl-C."""

"""The operator's commands: `daybook …`."""

"""The operator's command line: `daybook …`. One file a command; what a command does stands in the modules of `ops`."""

from ops.cli.program import app, main

__all__ = ["app", "main"]

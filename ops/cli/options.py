"""The options that every command has."""

from typing import Annotated

import typer

Stage = Annotated[
    str,
    typer.Option(
        "--stage",
        envvar="DAYBOOK_STAGE",
        metavar="NAME",
        help="Which deployment: `dev`, `prod` …, or `local`, the one that `make run` keeps up on this machine.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs instead of text for people.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it. Without this, nothing is changed.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for those who read the record of what you do.")
]

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

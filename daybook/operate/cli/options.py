"""The options that every command has, and where they are said."""

import shlex
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

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


class Commands(TyperGroup):
    """Commands of one name. Whoever says a command's option before the command is told how to say it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take what the group itself has of options; the rest is its command's."""
        own = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        named = next((number for number, word in enumerate(args) if word in self.commands), 0)
        if named and args[0].startswith("-") and args[0].partition("=")[0] not in own:
            line = shlex.join([*ctx.command_path.split(), *args[named:], *args[:named]])
            ctx.fail(f"say options behind the command: {line}")
        return super().parse_args(ctx, args)

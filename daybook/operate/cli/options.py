"""The options that several commands have, and the check that options come after the command."""

import shlex
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from daybook.operate.errors import OperatorError

Stage = Annotated[
    str,
    typer.Option(
        "--stage",
        envvar="DAYBOOK_STAGE",
        metavar="NAME",
        help="The deployment: `dev`, `prod` and so on, or `local` for the system that `make run` runs.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Apply = Annotated[
    bool,
    typer.Option("--apply", help="Apply the change. Without this option, the command only prints what it would do."),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reason, which is recorded.")]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Only events recorded at this time or later: `3d` ago, or RFC 3339. Default: all events."
    ),
]
Until = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only events recorded before this time. Default: 5 minutes ago.")
]


class NotUtf8(OperatorError):
    """A file is not UTF-8 text."""


def text_of(file: typer.FileText) -> str:
    """The text of a file that the operator has named, without a byte order mark. Raises NotUtf8."""
    try:
        return file.read().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise NotUtf8(f"{file.name} is not UTF-8 text") from error


class Commands(TyperGroup):
    """A group of commands. If a command's option comes before the command, the error prints the correct order."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the group's own options, and check that other options come after the command."""
        own = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        named = next((number for number, word in enumerate(args) if word in self.commands), 0)
        if named and args[0].startswith("-") and args[0].partition("=")[0] not in own:
            line = shlex.join([*ctx.command_path.split(), *args[named:], *args[:named]])
            ctx.fail(f"put options after the command: {line}")
        return super().parse_args(ctx, args)

"""The options that several commands have, and where they stand."""

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
        help="Which deployment: `dev`, `prod` …, or `local`, the one that `make run` keeps up on this machine.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs instead of text for people.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it. Without this, nothing is changed.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why you do it. It is recorded.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Recorded from then on: `3d` ago, or RFC 3339. All, unless given."),
]
Until = Annotated[
    str | None, typer.Option(metavar="TIME", help="Recorded before then; until 5 minutes ago unless given.")
]


class NotUtf8(OperatorError):
    """A file that the operator has named is not UTF-8 text."""


def text_of(file: typer.FileText) -> str:
    """The text of a file that the operator has named. Raises NotUtf8."""
    try:
        return file.read()
    except UnicodeDecodeError as error:
        msg = f"{file.name} is not UTF-8 text"
        raise NotUtf8(msg) from error


class Commands(TyperGroup):
    """A group of commands. An option of a command that stands before it is an error, which says where it belongs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take what the group itself has of options; the rest is its command's."""
        own = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        named = next((number for number, word in enumerate(args) if word in self.commands), 0)
        if named and args[0].startswith("-") and args[0].partition("=")[0] not in own:
            line = shlex.join([*ctx.command_path.split(), *args[named:], *args[:named]])
            ctx.fail(f"put options behind the command: {line}")
        return super().parse_args(ctx, args)

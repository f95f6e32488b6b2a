"""The program `daybook`: its commands, in the order of `--help`."""

import sys
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated

import typer

from daybook.application import NoApplication, application
from daybook.operate import glossary, protect
from daybook.operate.audit import command as audit
from daybook.operate.cli.options import Commands
from daybook.operate.dead_letters import command as dead
from daybook.operate.pause import command as pause
from daybook.operate.publish import command as publish
from daybook.operate.replay import command as replay
from daybook.operate.send import command as send
from daybook.operate.shards import command as shards
from daybook.operate.status import command as status
from daybook.operate.status import doctor
from daybook.operate.trace import command as trace
from daybook.operate.trace import events_command as events
from daybook.operate.views import rebuild_command as rebuild
from daybook.operate.views import verify_command as verify

app = typer.Typer(
    name="daybook",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a character that the terminal cannot show is replaced
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"daybook {version('daybook')}")
        raise typer.Exit


@app.callback()
def daybook(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            help="Print the version and exit.",
            callback=_print_version,
        ),
    ] = False,
) -> None:
    """Operate a stage of Daybook: show its status and its failures, retry or discard dead letters, replay recorded
    events, rebuild views, and check that the history is complete.

    In an emergency, start with `daybook status`, then `daybook dead`: each prints the next steps. Put options after the
    command: `daybook status --stage local`.

    Commands use the credentials and the region of the AWS CLI (AWS_PROFILE, AWS_REGION and so on), and AWS_ENDPOINT_URL
    if it is set. With `--stage local`, they connect to the system that `make run` runs on this machine, need no
    credentials, and never reach a real account.

    A command that changes something only prints what it would do, unless you add `--apply`. Each applied operation is
    recorded in the store.

    Exit codes: 0 success; 1 not found, or not everything succeeded; 2 the command failed; 130 interrupted by Ctrl-C.
    """


app.command(epilog=send.EXAMPLES)(send.send)
app.command(epilog=trace.EXAMPLES)(trace.trace)
app.command(epilog=events.EXAMPLES)(events.events)
app.command("status", epilog=status.EXAMPLES)(status.show_status)
app.add_typer(dead.app, name="dead")
app.command(epilog=replay.EXAMPLES)(replay.replay)
app.command(epilog=publish.EXAMPLES)(publish.publish)
app.command(epilog=pause.PAUSE_EXAMPLES)(pause.pause)
app.command(epilog=pause.RESUME_EXAMPLES)(pause.resume)
app.command(epilog=shards.EXAMPLES)(shards.shards)
app.command(epilog=verify.EXAMPLES)(verify.verify)
app.command(epilog=rebuild.EXAMPLES)(rebuild.rebuild)
app.add_typer(audit.app, name="audit")
app.command(epilog=protect.EXAMPLES)(protect.protect)
app.command(epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(glossary.app, name="help")
with suppress(NoApplication):  # a command that needs an application reports it
    for service in application().of_services("commands"):
        app.add_typer(service.app)

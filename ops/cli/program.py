"""The program `daybook`: its commands in the order in which `--help` shows them, and what holds for all of them."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from ops.cli import analytics, dead, doctor, events, patient, replay, sanctions, send, trace, ward

app = typer.Typer(
    name="daybook",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def main() -> None:
    """Run the command line that was given."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows another
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
    """Operate a stage of Daybook: send events, follow them through every service, list what was recorded.

    Commands speak to AWS with the credentials and the region that the AWS command line would use (AWS_PROFILE,
    AWS_REGION …), and to AWS_ENDPOINT_URL if that is set. With `--stage local` they find the system that `make run`
    keeps up on this machine, need no credentials, and never reach a real account.

    Exit codes: 0 done; 1 not found, or not all events were taken; 2 the command could not do its work.
    """


app.command(epilog=send.EXAMPLES)(send.send)
app.command(epilog=trace.EXAMPLES)(trace.trace)
app.command(epilog=events.EXAMPLES)(events.events)
app.command(epilog=replay.EXAMPLES)(replay.replay)
app.add_typer(dead.app, name="dead")
app.command(epilog=patient.EXAMPLES)(patient.patient)
app.command(epilog=ward.EXAMPLES)(ward.ward)
app.add_typer(sanctions.app, name="sanctions")
app.command(epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(analytics.app, name="analytics")

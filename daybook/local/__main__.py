"""`python -m daybook.local run` and `python -m daybook.local demo`."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from daybook.local.errors import LocalRunError
from daybook.local.interrupts import once
from daybook.local.progress import Progress
from daybook.local.project import ROOT
from daybook.local.system import up
from daybook.local.welcome import welcome
from daybook.local.whereabouts import announce, only_run

INTERRUPTED = 130  # as shells say it of a program that Ctrl-C has ended


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 2 if it could not begin as told, 1 if something failed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no "…" is no reason to stop
    options = _parser().parse_args(arguments)
    progress = Progress()
    with once():
        try:
            return _run(progress, options) if options.command == "run" else _demo(progress, options)
        except KeyboardInterrupt:
            return INTERRUPTED
        except LocalRunError as error:
            print(f"\n{error}", file=sys.stderr)
            return error.exit_code


def _run(progress: Progress, options: argparse.Namespace) -> int:
    project = options.project.resolve()
    is_up = False
    try:
        with only_run(project) as file, up(progress, options.port, project=project) as cloud:
            announce(cloud, file)
            is_up = True
            progress.say(welcome(cloud.endpoint))
            cloud.wait()
    except KeyboardInterrupt:
        if not is_up:
            raise
        progress.say("\nStopped. Nothing is left running.")
    return 0


def _demo(progress: Progress, options: argparse.Namespace) -> int:
    from daybook.local.demo import demo  # noqa: PLC0415 - `run` starts without it

    return demo(progress, options.business, options.samples)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m daybook.local", description="The whole system on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="keep the system up until Ctrl-C")
    run.add_argument("--port", type=int, default=4566, help="the loopback port to listen on (%(default)s)")
    run.add_argument("--project", type=Path, default=ROOT, help="folder of the CDK app (this checkout)")
    demo = commands.add_parser("demo", help="bring the system up, send it events, show where each one went")
    demo.add_argument("--business", metavar="NAME", help="show this business alone: shop …")
    demo.add_argument("--samples", type=Path, default=ROOT / "samples", help="folder of all businesses' samples")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""`python -m daybook.local run` and `python -m daybook.local demo`."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from daybook.local.errors import LocalRunError
from daybook.local.instructions import instructions
from daybook.local.interrupts import single_interrupt
from daybook.local.progress import Progress
from daybook.local.project import ROOT
from daybook.local.run_file import exclusive_run, write_run_file
from daybook.local.system import up

INTERRUPTED = 130  # the exit code that shells report for a program ended by Ctrl-C


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit code: 2 if the arguments cannot be used, 1 if a step failed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the terminal's encoding may have no "…"
    options = _parser().parse_args(arguments)
    progress = Progress()
    with single_interrupt():
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
        with exclusive_run(project) as file, up(progress, options.port, project=project) as cloud:
            write_run_file(cloud, file)
            is_up = True
            progress.say(instructions(cloud.endpoint))
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
    run.add_argument("--project", type=Path, default=ROOT, help="folder of the CDK app (default: this checkout)")
    demo = commands.add_parser("demo", help="start the system, send sample events, show the trace of each")
    demo.add_argument("--business", metavar="NAME", help="run only this business: a folder of samples")
    demo.add_argument(
        "--samples", type=Path, default=ROOT / "samples", help="folder with one folder of samples per business"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""`python -m chaos chaos`, `fuzz`, `soak`: prove what is promised, and write down what was done and found.

The exit code is 0 if all held, 1 if something did not, or could not be run.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from chaos import chaos, fuzz, soak
from daybook.local.errors import LocalRunError
from daybook.local.interrupts import once
from daybook.local.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

INTERRUPTED = 130  # as shells say it of a program that Ctrl-C has ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the three. Returns 0 if all held, 1 if something did not."""
    options = _parser().parse_args(arguments)
    progress = Progress()
    runs: Mapping[str, Callable[[], bool]] = {
        "chaos": lambda: chaos.run(progress, seed=options.seed, scale=options.scale),
        "fuzz": lambda: fuzz.run(progress, seed=options.seed, events=options.events),
        "soak": lambda: soak.run(progress, seed=options.seed, minutes=options.minutes, rate=options.rate),
    }
    with once():
        try:
            return 0 if runs[options.run]() else 1
        except KeyboardInterrupt:
            return INTERRUPTED
        except LocalRunError as error:
            print(f"\n{error}", file=sys.stderr)
            return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Prove what Daybook promises.")
    runs = parser.add_subparsers(dest="run", required=True)
    chaos_ = runs.add_parser("chaos", help="the whole system under faults, and nothing lost or done twice")
    chaos_.add_argument("--scale", type=int, default=1000, help="orders, readings and transactions each (%(default)s)")
    fuzz_ = runs.add_parser("fuzz", help="bad and odd events at both doors")
    fuzz_.add_argument("--events", type=int, default=10_000, help="so many (%(default)s)")
    soak_ = runs.add_parser("soak", help="mixed traffic for a long time")
    soak_.add_argument("--minutes", type=float, default=60, help="for so long (%(default)s)")
    soak_.add_argument(
        "--rate", type=float, default=soak.RATE, help="orders, readings and transactions a second, each (%(default)s)"
    )
    for one in (chaos_, fuzz_, soak_):
        one.add_argument("--seed", type=int, default=1, help="other events and faults for each number (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())

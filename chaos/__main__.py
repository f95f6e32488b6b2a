"""`python -m chaos chaos`, `fuzz`, `soak`: test Daybook's guarantees and write a report.

The exit code is 0 if all guarantees held, 1 if one did not or the test could not run.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from chaos import chaos, fuzz, soak
from daybook.local.errors import LocalRunError
from daybook.local.interrupts import single_interrupt
from daybook.local.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

INTERRUPTED = 130  # the exit code that shells report for a program ended by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the three tests. Returns 0 if all guarantees held, 1 otherwise."""
    options = _parser().parse_args(arguments)
    progress = Progress()
    runs: Mapping[str, Callable[[], bool]] = {
        "chaos": lambda: chaos.run(progress, seed=options.seed, scale=options.scale),
        "fuzz": lambda: fuzz.run(progress, seed=options.seed, events=options.events),
        "soak": lambda: soak.run(progress, seed=options.seed, minutes=options.minutes, rate=options.rate),
    }
    with single_interrupt():
        try:
            return 0 if runs[options.run]() else 1
        except KeyboardInterrupt:
            return INTERRUPTED
        except LocalRunError as error:
            print(f"\n{error}", file=sys.stderr)
            return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Test Daybook's guarantees.")
    runs = parser.add_subparsers(dest="run", required=True)
    chaos_ = runs.add_parser("chaos", help="run the whole system under faults; nothing may be lost or done twice")
    chaos_.add_argument("--scale", type=int, default=1000, help="orders, readings and transactions each (%(default)s)")
    fuzz_ = runs.add_parser("fuzz", help="send invalid and unusual events to the ingress bus and to queues")
    fuzz_.add_argument("--events", type=int, default=10_000, help="number of messages (%(default)s)")
    soak_ = runs.add_parser("soak", help="send mixed traffic for a long time; resource use may not grow")
    soak_.add_argument("--minutes", type=float, default=60, help="duration (%(default)s)")
    soak_.add_argument(
        "--rate", type=float, default=soak.RATE, help="orders, readings and transactions per second, each (%(default)s)"
    )
    for one in (chaos_, fuzz_, soak_):
        one.add_argument("--seed", type=int, default=1, help="seed for events and faults (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())

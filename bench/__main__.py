"""`python -m bench`: measure, and print each figure beside what is aimed at.

The exit code is 0 if everything was measured, whatever the figures are.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import TYPE_CHECKING

from bench import (
    audit,
    cost,
    dead,
    fraud,
    imports,
    machine,
    posting,
    processor,
    readings,
    rebuild,
    replay,
    screening,
    throughput,
)
from bench.flow import NeverQuiet
from bench.processor import NotHandled
from daybook.local.errors import LocalRunError
from daybook.local.interrupts import single_interrupt
from daybook.local.progress import Progress
from daybook.operate.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.aims import Aim

INTERRUPTED = 130  # as shells say it of a program that Ctrl-C has ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one part, or all. Returns 0 if it was measured, 1 if something failed."""
    options = _parser().parse_args(arguments)
    progress = Progress()
    parts: Mapping[str, Callable[[], list[Aim]]] = {
        "imports": lambda: imports.measure(progress, processes=options.processes),
        "cpu": lambda: processor.measure(progress, events=options.events, rounds=options.rounds, sizes=(10, 1)),
        "throughput": lambda: throughput.measure(progress, orders=options.burst, rounds=options.rounds),
        "readings": lambda: readings.measure(progress, reports=options.reports, rounds=options.rounds),
        "transactions": lambda: posting.measure(progress, transactions=options.transactions, accounts=options.accounts),
        "rebuild": lambda: rebuild.measure(progress, events=options.past),
        "replay": lambda: replay.measure(progress, events=options.past, rounds=options.rounds),
        "cost": lambda: cost.measure(progress, orders=options.orders),
        "fraud": lambda: fraud.measure(progress, seed=options.seed, customers=options.customers),
        "screening": lambda: screening.measure(progress, names=options.names),
        "audit": lambda: audit.measure(progress, events=options.history),
        "dead": lambda: dead.measure(progress, letters=options.letters),
    }
    progress.say(f"Measured on {machine.description()}.")
    aims: list[Aim] = []
    with single_interrupt():
        try:
            for name in [options.part] if options.part else parts:
                progress.say(f"\n{name}")
                aims += parts[name]()
        except KeyboardInterrupt:
            return INTERRUPTED
        except (LocalRunError, OperatorError, NeverQuiet, NotHandled, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or ""
            print(f"\n{error}\n{said}".rstrip(), file=sys.stderr)
            return 1
    progress.say()
    for aim in aims:
        progress.say(str(aim))
    return 0


_PARTS = (
    "imports",
    "cpu",
    "throughput",
    "readings",
    "transactions",
    "cost",
    "fraud",
    "screening",
    "replay",
    "rebuild",
    "dead",
    "audit",
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="How fast Daybook is, what it costs, what it finds."
    )
    parser.add_argument("part", nargs="?", choices=_PARTS, help="one part alone")
    parser.add_argument("--processes", type=_several, default=25, help="imports: starts of each (%(default)s)")
    parser.add_argument("--events", type=_several, default=200, help="cpu: events of each in a round (%(default)s)")
    parser.add_argument(
        "--rounds", type=_several, default=5, help="cpu, throughput, replay: turns of each (%(default)s)"
    )
    parser.add_argument("--burst", type=_several, default=100, help="throughput: orders sent at once (%(default)s)")
    parser.add_argument("--reports", type=_several, default=500, help="readings: reports sent at once (%(default)s)")
    parser.add_argument("--names", type=_several, default=1000, help="screening: names asked for (%(default)s)")
    parser.add_argument(
        "--transactions", type=_several, default=1000, help="transactions: posted at once (%(default)s)"
    )
    parser.add_argument("--past", type=_several, default=5000, help="replay, rebuild: events of the past (%(default)s)")
    parser.add_argument("--accounts", type=_several, default=100, help="transactions: on so many (%(default)s)")
    parser.add_argument("--orders", type=_several, default=300, help="cost: orders sent at once (%(default)s)")
    parser.add_argument("--letters", type=_several, default=10_000, help="dead: letters in the ledger (%(default)s)")
    parser.add_argument("--seed", type=int, default=11, help="fraud: other accounts for each number (%(default)s)")
    parser.add_argument("--history", type=_several, default=100_000, help="audit: events checked (%(default)s)")
    parser.add_argument("--customers", type=_several, default=400, help="fraud: accounts (%(default)s)")
    return parser


def _several(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = "at least 1"
        raise argparse.ArgumentTypeError(msg)
    return number


if __name__ == "__main__":
    sys.exit(main())

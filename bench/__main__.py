"""`python -m bench`: measure, and print each figure with its target.

The exit code is 0 if everything could be measured, whether targets were reached or not.
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
    idle,
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
from bench.flow import NotIdle
from bench.processor import NotHandled
from daybook.local.errors import LocalRunError
from daybook.local.interrupts import single_interrupt
from daybook.local.progress import Progress
from daybook.operate.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.targets import Target

INTERRUPTED = 130  # the exit code that shells report for a program ended by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one part or all. Returns 0 if everything was measured, 1 if something failed."""
    options = _parser().parse_args(arguments)
    progress = Progress()
    parts: Mapping[str, Callable[[], list[Target]]] = {
        "imports": lambda: imports.measure(progress, processes=options.processes),
        "cpu": lambda: processor.measure(progress, events=options.events, rounds=options.rounds, sizes=(10, 1)),
        "throughput": lambda: throughput.measure(progress, orders=options.burst, rounds=options.rounds),
        "readings": lambda: readings.measure(progress, reports=options.reports, rounds=options.rounds),
        "transactions": lambda: posting.measure(progress, transactions=options.transactions, accounts=options.accounts),
        "rebuild": lambda: rebuild.measure(progress, events=options.past),
        "replay": lambda: replay.measure(progress, events=options.past, rounds=options.rounds),
        "cost": lambda: cost.measure(progress, orders=options.orders),
        "idle": lambda: idle.measure(progress),
        "fraud": lambda: fraud.measure(progress, seed=options.seed, customers=options.customers),
        "screening": lambda: screening.measure(progress, names=options.names),
        "audit": lambda: audit.measure(progress, events=options.history),
        "dead": lambda: dead.measure(progress, dead_letters=options.dead_letters),
    }
    progress.say(f"Measured on {machine.description()}.")
    targets: list[Target] = []
    with single_interrupt():
        try:
            for name in [options.part] if options.part else parts:
                progress.say(f"\n{name}")
                targets += parts[name]()
        except KeyboardInterrupt:
            return INTERRUPTED
        except (LocalRunError, OperatorError, NotIdle, NotHandled, subprocess.CalledProcessError) as error:
            output = getattr(error, "stderr", None) or ""
            print(f"\n{error}\n{output}".rstrip(), file=sys.stderr)
            return 1
    progress.say()
    for target in targets:
        progress.say(str(target))
    return 0


_PARTS = (
    "imports",
    "cpu",
    "throughput",
    "readings",
    "transactions",
    "cost",
    "idle",
    "fraud",
    "screening",
    "replay",
    "rebuild",
    "dead",
    "audit",
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Daybook's speed, its cost, and what its fraud rules find."
    )
    parser.add_argument("part", nargs="?", choices=_PARTS, help="measure only this part")
    parser.add_argument("--processes", type=_several, default=25, help="imports: starts of each (%(default)s)")
    parser.add_argument("--events", type=_several, default=200, help="cpu: events per round, each (%(default)s)")
    parser.add_argument(
        "--rounds", type=_several, default=5, help="cpu, throughput, readings, replay: rounds of each (%(default)s)"
    )
    parser.add_argument("--burst", type=_several, default=100, help="throughput: orders sent at once (%(default)s)")
    parser.add_argument("--reports", type=_several, default=500, help="readings: reports sent at once (%(default)s)")
    parser.add_argument("--names", type=_several, default=1000, help="screening: names screened (%(default)s)")
    parser.add_argument("--transactions", type=_several, default=1000, help="transactions: sent at once (%(default)s)")
    parser.add_argument("--past", type=_several, default=5000, help="replay, rebuild: stored events (%(default)s)")
    parser.add_argument("--accounts", type=_several, default=100, help="transactions: number of accounts (%(default)s)")
    parser.add_argument("--orders", type=_several, default=300, help="cost: orders sent at once (%(default)s)")
    parser.add_argument("--dead-letters", type=_several, default=10_000, help="dead: dead letters (%(default)s)")
    parser.add_argument("--seed", type=int, default=101, help="fraud: seed of the accounts (%(default)s)")
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

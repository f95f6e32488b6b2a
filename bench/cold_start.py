"""Measure a function's start in the process that starts: `python -m bench.cold_start ours`.

Prints the milliseconds until its client can write to DynamoDB, and the milliseconds of the import alone.
"""

import sys
import time
from importlib import import_module

from bench.subjects import MODULES, OURS


def main(subject: str) -> None:
    """Start the subject's function."""
    before = time.perf_counter()
    import_module(MODULES[subject])
    imported = time.perf_counter()
    if subject == OURS:  # the others create their clients when they are imported
        import_module("daybook.runtime.aws").client("dynamodb")
    ready = time.perf_counter()
    print((ready - before) * 1000, (imported - before) * 1000)


if __name__ == "__main__":
    main(sys.argv[1])

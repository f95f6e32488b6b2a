"""A function's start, measured in the process that starts: `python -m bench.cold_start ours`.

Prints the milliseconds from before the import of its module until it could write to DynamoDB, and those of the import
alone.
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
    if subject == OURS:  # the others make their clients as they are imported
        import_module("daybook.runtime.aws").client("dynamodb")
    ready = time.perf_counter()
    print((ready - before) * 1000, (imported - before) * 1000)


if __name__ == "__main__":
    main(sys.argv[1])

"""The process of a warm function: `python -m bench.warm ours`.

Reads batches from standard input, one JSON document per line. At an empty line it passes them to the handler, and
answers with their processor time in seconds and the number of failed messages.
"""

import json
import os
import sys
import time
from importlib import import_module
from typing import Any

from bench.subjects import MODULES


class Context:
    """Lambda's context, with enough time left."""

    function_name = "reserve-stock"
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:reserve-stock"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds."""
        return 30_000


def main(subject: str) -> None:
    """Serve until standard input ends."""
    answers = sys.stdout
    with open(os.devnull, "w", encoding="utf-8") as sys.stdout:  # noqa: PTH123 - discards the function's log
        handler = import_module(MODULES[subject]).handler
        batches: list[Any] = []
        for line in sys.stdin:
            if line.strip():
                batches.append(json.loads(line))
                continue
            before = time.process_time()
            results = [handler(batch, Context()) for batch in batches]
            taken = time.process_time() - before
            failed = sum(len(result["batchItemFailures"]) for result in results if result)
            print(json.dumps({"seconds": taken, "failed": failed}), file=answers, flush=True)
            batches.clear()


if __name__ == "__main__":
    main(sys.argv[1])

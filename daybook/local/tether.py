"""Runs MiniStack, and ends it with all its workers when the process that started it is gone.

A child of `daybook.local.cloud`, started by path. Its standard input is a pipe whose other end closes when the starter
dies, even by SIGKILL, which nobody can catch.
"""

import os
import shutil
import signal
import sys
import threading


def end_with_starter(folder: str) -> None:
    """Wait until standard input closes; then remove the folder and kill this process and its group."""
    while os.read(0, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=end_with_starter, args=(sys.argv.pop(1),), daemon=True).start()
    from ministack.app import main  # type: ignore[import-untyped]

    main()

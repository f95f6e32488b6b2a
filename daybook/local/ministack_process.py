"""Runs MiniStack with our changes, and kills it with all its workers when the process that started it is gone.

`daybook.local.cloud` starts this file by its path. Its standard input is a pipe whose other end closes when the parent
process dies, even by SIGKILL.
"""

import os
import shutil
import signal
import sys
import threading


def exit_with_parent(folder: str) -> None:
    """Wait until standard input closes. Then remove the folder and kill this process and its group."""
    while os.read(0, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    from daybook.local import dead_letter_runs, expressions, workers

    expressions.install()
    workers.install()
    dead_letter_runs.install()
    if os.environ.get("AUTH") == "true":
        from daybook.local import enforcement

        enforcement.install()
    threading.Thread(target=exit_with_parent, args=(sys.argv.pop(1),), daemon=True).start()
    from ministack import app  # type: ignore[import-untyped]

    from daybook.local.browsers import without_browsers

    app.app = without_browsers(app.app)  # what `main` serves
    # With TLS it would also take port 443, and fail if another cloud takes it at the same time.
    app._port_is_bindable = lambda *_: False  # noqa: SLF001
    app.main()

"""What holds for all tests."""

import signal
from datetime import timedelta

import time_machine

# Whoever starts the tests in the background has Ctrl-C ignored, and all that they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# All tests are loaded as though that had been hours ago: a long run comes to its last ones late, and what they call
# recent must be so when they run.
_loading = time_machine.travel(timedelta(hours=-4))
_loading.start()


def pytest_collection_finish() -> None:
    """From here on time is what it is."""
    _loading.stop()

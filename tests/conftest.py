"""What holds for all tests."""

import signal

# Whoever starts the tests in the background has Ctrl-C ignored, and all that they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

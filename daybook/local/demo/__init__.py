"""The system at work, shown: businesses have a day on it, and each journey is drawn, to the books at the end.

A business is a folder in `samples/` with a module `demo`; `business.py` says what it must tell of itself.
"""

from daybook.local.demo.show import businesses, demo

__all__ = ["businesses", "demo"]

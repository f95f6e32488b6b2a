"""The system at work, shown: businesses have a day on it, and each journey is drawn, to the books at the end.

A business is a module here and a folder in `samples/`; `business.py` says what it must tell of itself.
"""

from local.demo.show import BUSINESSES, demo

__all__ = ["BUSINESSES", "demo"]

"""The demo: businesses send events to the system, and the demo shows the trace of each and the final state.

A business is a folder in `samples/` with a module `demo`; `business.py` defines its interface.
"""

from daybook.local.demo.show import businesses, demo

__all__ = ["businesses", "demo"]

"""The machine that figures were measured on. A figure without it says nothing."""

import os
import platform
from pathlib import Path


def description() -> str:
    """Cores, processor, Python and operating system, in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {_processor()}, Python {platform.python_version()}, {_system()}"


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = ""
    return f"{name or platform.system()} ({platform.system()} {platform.release()}, {platform.machine()})"

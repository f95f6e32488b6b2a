"""Run the command line `daybook` as an operator does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daybook.local.cloud import Cloud

_TIMEOUT = 600  # seconds


def daybook(cloud: Cloud, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the local stage. It finds the stage by the cloud's endpoint."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("daybook")), *arguments, "--stage", "local"],
        env={"PATH": os.environ["PATH"], **cloud.reach},
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT,
    )

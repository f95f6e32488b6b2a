"""The operator, who knows `daybook` and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daybook.local.cloud import Cloud

_PATIENCE = 600  # seconds


def daybook(cloud: Cloud, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the local stage, found by the cloud's endpoint alone."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("daybook")), *arguments, "--stage", "local"],
        env={"PATH": os.environ["PATH"], **cloud.reach},
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )

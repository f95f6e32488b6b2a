"""`make demo`, as its user sees it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.templates.synthesis import ROOT

SHOWN_BY_ALL = ("PaymentRefunded", "OutOfStock", "rejected: ContractBroken", "rejected: SourceNotAllowed")
SHOWN_BY_SHOP = ("The shelf", "The mailbox", "Goods, money and letters add up.")


def run_demo(*arguments: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    """Run it as make does, with temporary files in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "daybook.local", "demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_the_demo_of_a_business_shows_its_traces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ran = run_demo("--business", "shop", temporary=tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    for shown in SHOWN_BY_ALL + SHOWN_BY_SHOP:
        assert shown in ran.stdout
    assert "make run" in ran.stdout
    assert list(tmp_path.iterdir()) == []

"""`make demo`, as its user sees it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.templates.synthesis import ROOT


def run_demo(*arguments: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    """Run it as make does, with temporary files in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "local", "demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_the_demo_shows_every_journey_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ran = run_demo(temporary=tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown_by_all = ("PaymentRefunded", "OutOfStock", "refused: ContractBroken", "refused: SourceNotAllowed")
    shop = ("The shelf", "The mailbox", "Goods, money and letters add up.")
    hospital = ("AllergyConflictFound", "RecordDivergenceFound", "StaffPaged", "The pager", "The three systems agree")
    for shown in (*shown_by_all, *shop, *hospital):
        assert shown in ran.stdout
    assert "make run" in ran.stdout
    assert list(tmp_path.iterdir()) == []

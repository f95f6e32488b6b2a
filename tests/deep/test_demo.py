"""The whole `make demo`, and a demo with wrong expectations in its samples."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.templates.synthesis import ROOT

SHOWN_BY_ALL = ("PaymentRefunded", "OutOfStock", "rejected: ContractBroken", "rejected: SourceNotAllowed")
SHOWN_BY_SHOP = ("The stock", "The mailbox", "Stock, money and e-mails are consistent.")


def test_the_demo_shows_every_trace_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ran = run_demo(temporary=tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    hospital = ("AllergyConflictFound", "RecordDivergenceFound", "StaffPaged", "The pager", "The three systems agree")
    for shown in SHOWN_BY_ALL + SHOWN_BY_SHOP + hospital:
        assert shown in ran.stdout
    assert "make run" in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_trace_that_differs_from_its_sample_fails_the_demo() -> None:
    with tempfile.TemporaryDirectory() as folder:
        samples, temporary = Path(folder, "samples"), Path(folder, "tmp")
        (samples / "shop").mkdir(parents=True)
        temporary.mkdir()
        for name in ("1-stock-arrives.json", "3-out-of-stock.json"):
            sample = json.loads((ROOT / "samples" / "shop" / name).read_text())
            sample["ends"] = {
                stream: [event.replace("OutOfStock", "StockReserved") for event in events]
                for stream, events in sample["ends"].items()
            }
            (samples / "shop" / name).write_text(json.dumps(sample))

        ran = run_demo("--business", "shop", "--samples", str(samples), temporary=temporary)

        assert ran.returncode == 1
        assert "order/1002 went OrderPlaced → OutOfStock → OrderCancelled → EmailSent; it should have" in ran.stdout
        assert list(temporary.iterdir()) == []


def run_demo(*arguments: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    """Run it as make does, with a folder for its temporary files."""
    return subprocess.run(
        [sys.executable, "-m", "daybook.local", "demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )

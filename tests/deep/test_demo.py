"""`make demo`, when something is not as its samples say."""

import json
import tempfile
from pathlib import Path

from tests.deployed.test_demo import run_demo
from tests.templates.synthesis import ROOT


def test_a_journey_that_ends_otherwise_than_its_sample_says_fails_the_demo() -> None:
    with tempfile.TemporaryDirectory() as folder:
        samples, temporary = Path(folder, "samples"), Path(folder, "tmp")
        (samples / "shop").mkdir(parents=True)
        temporary.mkdir()
        for name in ("1-goods-arrive.json", "3-out-of-stock.json"):
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

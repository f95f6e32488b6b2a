"""A short soak run of the deployed system."""

import io
import json
from dataclasses import fields
from pathlib import Path

from rich.console import Console

from chaos.sampling import Sample
from chaos.soak import measure
from daybook.local.progress import Progress


def test_in_half_a_minute_all_sent_events_are_processed(tmp_path: Path) -> None:
    silent, samples_file = Progress(Console(file=io.StringIO())), tmp_path / "samples"

    result = measure(silent, seed=1, minutes=0.5, rate=1, samples_file=samples_file)

    assert result.problems == []
    assert result.samples[-1].events > result.samples[0].events
    written = [json.loads(text) for text in samples_file.read_text(encoding="utf-8").splitlines()]
    assert [Sample(**each) for each in written] == result.samples
    assert set(written[0]) == {field.name for field in fields(Sample)}
    assert all(sample.workers and sample.memory and sample.files for sample in result.samples)
    assert {"admit", "publish"} <= set(result.samples[-1].functions)

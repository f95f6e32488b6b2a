"""A short soak of the deployed system."""

import io
import json
from dataclasses import fields
from pathlib import Path

from rich.console import Console

from chaos.samples import Sample
from chaos.soak import measured
from daybook.local.progress import Progress


def test_in_half_a_minute_all_that_is_sent_comes_to_its_end(tmp_path: Path) -> None:
    quiet = Progress(Console(file=io.StringIO()))

    result = measured(quiet, seed=1, minutes=0.5, rate=1, notes=tmp_path / "notes")

    assert result.wrong == []
    assert result.samples[-1].events > result.samples[0].events
    noted = [json.loads(text) for text in (tmp_path / "notes").read_text(encoding="utf-8").splitlines()]
    assert [Sample(**said) for said in noted] == result.samples
    assert set(noted[0]) == {field.name for field in fields(Sample)}
    assert all(sample.workers and sample.memory and sample.files for sample in result.samples)
    assert {"admit", "publish"} <= set(result.samples[-1].functions)

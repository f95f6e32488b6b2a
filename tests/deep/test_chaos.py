"""A short chaos run violates no invariant."""

import io

from rich.console import Console

from chaos.chaos import execute, summary
from daybook.local.progress import Progress


def test_a_run_under_all_faults_loses_nothing_and_does_nothing_twice() -> None:
    result = execute(Progress(Console(file=io.StringIO())), seed=3, scale=50, short=True)

    assert result.passed, "\n".join(summary(result))
    assert result.injected["killed before a call"] + result.injected["killed after a call"] > 20
    assert result.injected["cloud suspended and resumed"] == 1

"""A short day of chaos breaks no invariant."""

import io

from rich.console import Console

from chaos.chaos import live, told
from daybook.local.progress import Progress


def test_a_day_on_which_everything_goes_wrong_loses_nothing_and_does_nothing_twice() -> None:
    result = live(Progress(Console(file=io.StringIO())), seed=3, scale=50, short=True)

    assert result.held, "\n".join(told(result))
    assert result.brought["killed before one"] + result.brought["killed after one"] > 20
    assert result.brought["the cloud frozen, and thawed"] == 1

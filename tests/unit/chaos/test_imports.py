"""What the programs import that measure the businesses."""

from functools import cache

import grimp
from grimp import ImportGraph

OTHERS = ("daybook", "events", "functions", "samples", "stacks")


@cache
def imports() -> ImportGraph:
    return grimp.build_graph("bench", "chaos", *OTHERS, cache_dir=None)


def test_the_checker_shares_no_code_with_what_it_checks() -> None:
    for other in ("bench", *OTHERS):
        assert not imports().find_shortest_chains("chaos.checker", other)


def test_the_benchmarks_do_not_import_chaos() -> None:
    assert not imports().find_shortest_chains("bench", "chaos")

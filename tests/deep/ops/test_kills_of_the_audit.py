"""`daybook audit check`, killed before and after every AWS call, and continued."""

from functools import partial

import pytest

from tests.ops import test_audit_resumption
from tests.ops.killed_commands import killed_at_every_call
from tests.ops.test_audit_resumption import SCOPES, at_once, finds_the_same_though_killed, one_thread, scopes
from tests.ops.world import World

stage, damaged = test_audit_resumption.stage, test_audit_resumption.damaged


@SCOPES
def test_a_check_finds_the_same_wherever_it_is_killed(
    damaged: World, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_thread(monkeypatch)
    chosen = scopes()[scope]
    dies = partial(finds_the_same_though_killed, damaged, chosen, at_once(damaged.connection, chosen))

    assert killed_at_every_call(dies) > 50

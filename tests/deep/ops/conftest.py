"""The environment and the stage of tests/ops."""

from tests.ops.conftest import _a_new_day, _nothing_is_set, _signals, world  # noqa: F401 - fixtures

"""Fixtures of tests/ops."""

from tests.ops.conftest import _clean_environment, _new_morning, _signals, dynamodb, world  # noqa: F401 - fixtures

"""The fixtures of tests/unit/shop."""

from tests.unit.shop.conftest import payments, provider  # noqa: F401 - fixtures

"""The tests in the docs pass, with the code in the docs."""

import pytest

from daybook.runtime import settings
from tests.documentation import ExampleTest, example_tests
from tests.unit import builders, faults


@pytest.mark.parametrize("test", example_tests("tests/unit/"))
def test_a_test_of_the_docs_passes(
    test: ExampleTest, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    test.run(request, monkeypatch, [settings, builders, faults])

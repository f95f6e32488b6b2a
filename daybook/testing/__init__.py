"""What tests of an application need: a stage in memory, messages as Lambda delivers them, and pytest fixtures.

    # tests/conftest.py
    pytest_plugins = ["daybook.testing.plugin"]

Needs pytest and moto. Functions in Lambda do not contain this package.
"""

"""Test the deployed system under faults, invalid input and long load, and check its final state.

`python -m chaos chaos`, `fuzz` and `soak`. `chaos.checker` checks from the outside and shares no code with the system.
"""

"""The proof: the deployed system under faults, bad input and long work, and what is left afterwards.

`python -m chaos chaos`, `fuzz` and `soak`. `chaos.checker` looks from the outside, and shares no code with the system.
"""

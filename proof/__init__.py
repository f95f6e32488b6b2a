"""The proof: the deployed system under faults, bad input and long work, and what is left afterwards.

`python -m proof chaos`, `fuzz` and `soak`. `proof.checker` looks from the outside, and shares no code with the system.
"""

"""How the consumers of a stage are, and what a person must still do in an account."""

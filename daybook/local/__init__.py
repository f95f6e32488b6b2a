"""Run the whole system on one machine: no Docker, no AWS account, no credentials."""

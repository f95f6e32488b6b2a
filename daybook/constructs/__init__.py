"""CDK constructs: the backbone's stack, a service's stack, and what stands between a rule and a function."""

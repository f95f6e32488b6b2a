"""The application of the package's own tests: a library that lends books. It imports `daybook` and nothing else."""

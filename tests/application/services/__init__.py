"""The services of the library."""

"""All contracts of the library."""

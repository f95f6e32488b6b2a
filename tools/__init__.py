"""Tools for the project's texts: the check of their language, and the pages of the docs that are generated."""

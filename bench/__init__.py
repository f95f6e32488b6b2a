"""How fast and how dear Daybook is, each figure as a ratio to something else that was measured in the same run."""

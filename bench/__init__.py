"""Measure Daybook's speed and cost. Figures are ratios to something else that was measured in the same run."""

"""Equipment: bedside devices, what they measure, and who is called when something is wrong."""

"""Equipment: bedside devices, their readings, and the alarms that page staff."""

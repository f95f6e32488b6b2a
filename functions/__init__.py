"""The functions: one file each, one type of event each, in the folder of the service that owns it."""

"""The backbone's functions: they admit and publish events, record dead letters, fire timers, control consumers."""

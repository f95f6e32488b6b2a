"""The backbone's Lambda functions: admit and publish events, record dead letters, fire timers, control consumers."""

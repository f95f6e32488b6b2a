"""Patients: three systems that each keep a part of every record, and their reconciliation with the event store."""

"""Patients: three systems that know each a share of every record, and agree; and who looks whether they do."""

"""Faults of the machines that this suite runs on, made on purpose: `make test-faults`."""

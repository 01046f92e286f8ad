"""What breaks on the machines that this suite runs on, done to it on purpose. Run by `make test-faults`."""

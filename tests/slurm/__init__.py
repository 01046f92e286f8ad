"""profiles/slurm on a real SLURM, which the tests start themselves: `make test-slurm`."""

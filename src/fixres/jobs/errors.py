"""The error that ends a job with a message in place of a traceback."""

REMAKE = "delete it and let Snakemake make it again"  # of a damaged file that a job has left


class JobError(RuntimeError):
    """A failure that a person can act on. It is printed as one message, without a traceback."""

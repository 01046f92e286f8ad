"""The error that ends a job with a message instead of a traceback."""

REMAKE = "Delete it and let Snakemake make it again."  # the fix for a job's damaged file


class JobError(RuntimeError):
    """A failure that a person can fix. It is printed as one message, without a traceback.

    The message reads `KEY or FILE: problem (got X, expected Y). Fix.`
    """

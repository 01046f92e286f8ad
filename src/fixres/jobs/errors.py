"""TODO."""


class JobError(RuntimeError):
    """A failure that a person can act on; printed as one message, without a traceback."""

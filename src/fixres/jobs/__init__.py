"""What it takes to be a job: command line, log, whole files, device, several processes, leases.

Names that every job uses stand here: `jobs.log`, `jobs.atomic`, `jobs.JobError` … None of them
imports torch.
"""

from fixres.jobs.command import device_options, parser, read_config
from fixres.jobs.digests import canonical, digest
from fixres.jobs.errors import JobError
from fixres.jobs.files import (
    atomic,
    check_inputs_unchanged,
    file_digest,
    naming,
    read_json,
    record_inputs,
    recording_inputs,
    write_json,
)
from fixres.jobs.logs import log, log_times, progress

__all__ = [
    "JobError",
    "atomic",
    "canonical",
    "check_inputs_unchanged",
    "device_options",
    "digest",
    "file_digest",
    "log",
    "log_times",
    "naming",
    "parser",
    "progress",
    "read_config",
    "read_json",
    "record_inputs",
    "recording_inputs",
    "write_json",
]

"""What every job needs: a command line, a log, complete files, and an orderly end.

The names that most jobs use are available here, such as `jobs.log`. None of them imports torch.
"""

from fixres.jobs.command import HELP, device_options, parser, read_config, training_options
from fixres.jobs.digests import canonical, digest
from fixres.jobs.errors import REMAKE, JobError
from fixres.jobs.files import (
    atomic,
    atomic_folder,
    check_folder,
    check_suite,
    file_digest,
    naming_in_errors,
    read_json,
    record_inputs,
    recording_inputs,
    write_json,
)
from fixres.jobs.logs import log, log_times, progress

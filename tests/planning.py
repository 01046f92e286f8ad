"""Dry runs of Snakemake, many in one process: `python planning.py` in the folder of a suite.

It reads a JSON list of commands (words behind `snakemake`), and prints a JSON list of exit codes
and of what was said. Each command runs in a fork of this process, in which Snakemake and the suite
are loaded once. That saves most of the time of a dry run.
"""

import json
import os
import sys
import tempfile
import traceback

import snakemake.api  # noqa: F401 (before fixres.workflow: they import each other)
from snakemake import cli

import fixres.workflow  # noqa: F401 (loaded for the forks)

AT_ONCE = 2


def start(words: list[str], said: int) -> int:
    """Start a command in a fork, with its output to a descriptor. Returns the process id."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        os.dup2(said, 1), os.dup2(said, 2)
        sys.argv = ["snakemake", *words]  # the suite looks at it
        cli.main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def main() -> None:
    waiting = list(enumerate(json.load(sys.stdin)))
    running, done = {}, {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            number, words = waiting.pop(0)
            said = tempfile.TemporaryFile()  # noqa: SIM115 (read once the command has ended)
            running[start(words, said.fileno())] = number, said
        process, status = os.wait()
        number, said = running.pop(process)
        said.seek(0)
        done[number] = os.waitstatus_to_exitcode(status), said.read().decode()
        said.close()
    print(json.dumps([done[number] for number in sorted(done)]))


if __name__ == "__main__":
    main()

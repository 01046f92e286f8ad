"""Dry runs of Snakemake, many in one process: `python planning.py` in the folder of a suite.

It reads a JSON list of commands (words behind `snakemake`), and prints a JSON list of exit codes
and of what was said. Commands that differ in their targets alone are planned together, all targets
at once. Each group runs in a fork of this process, in which Snakemake and the suite are loaded
once. Both save most of the time of a dry run.
"""

import contextlib
import gc
import json
import os
import sys
import tempfile
import traceback

import snakemake.api  # noqa: F401 (before fixres.workflow: they import each other)
from snakemake import cli

import fixres.workflow  # noqa: F401 (loaded for the forks)

AT_ONCE = 2
Words = tuple[str, ...]


def grouped(commands: list[list[str]]) -> dict[Words, dict[str, list[int]]]:
    """Options -> target -> numbers of the commands with these options that name it."""
    groups: dict[Words, dict[str, list[int]]] = {}
    for number, words in enumerate(commands):
        # The targets by Snakemake's own rules: it may take one for the value of an option.
        try:
            targets = list(cli.get_argument_parser().parse_args(words).targets) or ["all"]
        except SystemExit:  # it will say so again, alone
            targets = []
        options = tuple(word for word in words if word not in targets)
        for target in targets:
            groups.setdefault(options, {}).setdefault(target, []).append(number)
        if not targets:
            groups[options] = {"": [number]}
    return groups


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
        with contextlib.suppress(OSError):
            sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def main() -> None:
    commands = json.load(sys.stdin)
    waiting = list(grouped(commands).items())
    running, done = {}, {}
    gc.freeze(), gc.disable()  # a fork is short-lived
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            options, targets = waiting.pop()
            said = tempfile.TemporaryFile()  # noqa: SIM115 (read once the command has ended)
            running[start([*filter(None, targets), *options], said.fileno())] = targets, said
        process, status = os.wait()
        targets, said = running.pop(process)
        said.seek(0)
        code, text = os.waitstatus_to_exitcode(status), said.read().decode()
        said.close()
        numbers = {number for some in targets.values() for number in some}
        if code and len(numbers) > 1:  # which of them is it?
            waiting += [(tuple(commands[number]), {"": [number]}) for number in numbers]
        else:
            done |= dict.fromkeys(numbers, (code, text))
    print(json.dumps([done[number] for number in range(len(commands))]))


if __name__ == "__main__":
    main()

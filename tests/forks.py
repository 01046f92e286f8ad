"""Commands that run in forks of a process with their modules loaded: `python forks.py PROGRAM`.

PROGRAM is `snakemake` or `fixres`. Loading the modules takes most of the time of a dry run and of a
job on a few images. Each line of the standard input is a JSON object: the words behind PROGRAM, the
folder, the environment, and whether stdout and stderr are joined. The answer to each line is a JSON
list: exit code, stdout, stderr.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import tempfile

PATIENCE = 300  # seconds until a command is ended
LOADED = {
    "snakemake": ["snakemake.api", "snakemake.cli", "fixres.workflow"],  # in this order
    "fixres": ["fixres.__main__", "fixres.jobs.failures", "fixres.jobs.sealing"]
    + [f"fixres.stages.{stage}" for stage in ("train", "finetune", "evaluate")],
}


def serve() -> list[str]:
    """Answer one line after another until the input ends.

    Returns
    -------
    The words of a command, in the fork that is to run it.
    """
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = os.fork()
            if not process:
                become(asked, out.fileno(), out.fileno() if asked["joined"] else err.fileno())
                return asked["words"]
            _, status = os.waitpid(process, 0)
            out.seek(0), err.seek(0)
            answer = os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode()
        print(json.dumps(answer), flush=True)
    sys.exit()


def become(asked: dict, out: int, err: int) -> None:
    """Give this fork the place and the streams of the command."""
    signal.alarm(PATIENCE)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0), os.dup2(out, 1), os.dup2(err, 2)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["env"])
    gc.enable()


def main() -> None:
    program = sys.argv[1]
    gc.disable()
    for name in LOADED[program]:
        importlib.import_module(name)
    gc.freeze()
    words = serve()
    sys.argv = [program, *words]
    if program == "snakemake":
        sys.modules["snakemake.cli"].main(words)
    else:
        sys.modules["fixres.__main__"].console()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends the tests, and this with them
        main()

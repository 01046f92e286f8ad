"""A signal to `fixres recommend` reaches Snakemake, which ends as it does by itself.

Snakemake is pretended: a program of its name says what it was sent. What the real one does when it
is asked to end is in tests/faults.
"""

import os
import shlex
import signal
import subprocess
import sys
import time

import yaml
from test_recommend import MINE, photographs

from shared import ENVIRONMENT, ROOT

PRETENDED = """
import os, pathlib, signal, sys, time
got = []
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, lambda number, _: got.append(signal.Signals(number).name))
pathlib.Path("lock").touch()
print("snakemake", os.getpid(), *sys.argv[1:], flush=True)
while len(got) < 4:
    time.sleep(0.01)
time.sleep(0.5)  # its jobs end
pathlib.Path("lock").unlink()
print(*got, flush=True)
sys.exit(7)
"""


SENT = [signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGINT]  # by an impatient person


def test_signals_reach_snakemake_and_none_kills_it(tmp_path):
    """A kill -9 would leave the lock."""
    photographs(tmp_path / "photos")
    (tmp_path / "snakemake").mkdir()
    (tmp_path / "snakemake/__main__.py").write_text(PRETENDED)
    (tmp_path / "snakemake/__init__.py").touch()
    for name in ("Snakefile", "config.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    words = ["--network", "timm:test_resnet", "--images", "photos", "--name", "mine"]
    (tmp_path / "configs").mkdir()
    asked = f"# fixres recommend {shlex.join(words)}\n"  # it goes on with this answer
    settings = MINE | {"datasets": {"photos": {"root": "photos"}}}
    (tmp_path / "configs/recommend-mine.yaml").write_text(asked + yaml.safe_dump(settings))
    env = ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "fixres", "recommend", *words],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        # These tests may run under nohup, which has SIGHUP ignored.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    started = next(line for line in process.stdout if line.startswith("snakemake "))
    assert started.split()[2:4] == ["results/recommend/mine.md", "--configfile"]
    for number in SENT:
        time.sleep(0.1)
        process.send_signal(number)
    said = process.communicate(timeout=60)[0].splitlines()[-1]
    assert said.split() == [number.name for number in SENT]
    assert process.returncode == 7
    assert not (tmp_path / "lock").exists()

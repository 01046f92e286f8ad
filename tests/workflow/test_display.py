"""What a person sees of a run: at a terminal, in a pipe, in a dry run, on request."""

import fcntl
import json
import os
import pty
import re
import struct
import termios
import time
from types import SimpleNamespace

import pytest
from small import BASES, SMALL, merged

from shared import PAGES
from snakemake_logger_plugin_fixres import PAGES as RULES
from snakemake_logger_plugin_fixres import Run, _clock, _named, _reason


def at_a_terminal(workflow, *arguments: object, columns: int = 110) -> str:
    """The output of a run at a terminal of that width."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(workflow.folder)
        command = workflow.command(*arguments)
        os.execvpe(command[0], command, workflow.env)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    parts = []
    try:
        while part := os.read(terminal, 65536):
            parts.append(part)
    except OSError:  # the other end has closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    return b"".join(parts).decode()


def test_a_run_in_a_pipe_is_short_and_says_what_came_out(finished):
    lines = finished.output.splitlines()
    assert len(lines) < 20
    assert re.search(r"^12 jobs, about 1 min on 2 core", finished.output, re.MULTILINE)
    for base in BASES:
        metrics = json.loads(
            (finished.folder / f"results/{base}/evaluation/metrics.json").read_text()
        )
        top1 = {int(k): values["top1"] for k, values in metrics["k_test"].items()}
        name = base.removeprefix("runs/")
        [line] = [x for x in lines if x.startswith(f"trained {name} in 0:")]
        assert f"{max(top1.values()):.1f}% at {max(top1, key=top1.get)} px (best)" in line
        k_train = int(base.rsplit("-k", 1)[1])
        assert f"{top1[k_train]:.1f}% at {k_train} px" in line
    assert re.fullmatch(r"12 jobs in \d+:\d\d\. Finished: (.*)", lines[-1])
    for page in PAGES:
        assert page in lines[-1]
    # The rest is in the log file.
    [log] = (finished.folder / ".snakemake" / "log").glob("*.log")
    assert f"Training {BASES[0]}" in log.read_text()


def test_of_many_pages_those_over_all_others_are_named():
    pages = [(RULES.index("table"), f"results/table{i}.md") for i in range(1, 10)]
    pages += [(RULES.index("claims"), "results/claims.md")]
    pages += [(RULES.index("report"), "results/report.html")]
    said = _named(pages)
    assert said.startswith("results/report.html, results/claims.md, results/table1.md")
    assert said.endswith(" and 5 more")
    assert _named(pages[:2]) == "results/table1.md, results/table2.md"


def test_a_terminal_has_a_bar_with_jobs_time_and_names(done):
    done.write(merged(fine_tuning={"epochs": 3}))
    text = at_a_terminal(done, *PAGES)
    bars = [line for line in re.split(r"[\r\n]+", text) if re.match(r"\d+/6 jobs", line)]
    assert any(re.search(r"\d:\d\d, about \d+:\d\d left: ", bar) for bar in bars)
    assert any(re.search(r"Fine-tuning resnet10q-k16 for \d\d px", bar) for bar in bars)
    assert all(len(bar) <= 110 for bar in bars)
    assert "Finished: " in text


def test_a_dry_run_is_a_line_a_job_with_its_reason(done):
    done.write(merged(fine_tuning={"lr": 0.06}))
    lines = done.run("-n", *PAGES).stdout.splitlines()
    reasons = {
        line.split()[0]: line.split("  ")[-1].strip()
        for line in lines
        if re.match(r"\w+ +results/", line)
    }
    assert reasons["finetune"] == "its settings changed"
    assert "its inputs are made again" in reasons["evaluate"]
    assert reasons["figure"] == "its inputs are made again"


def test_a_dry_run_writes_nothing(tmp_path, finished):
    workflow = type(finished)(tmp_path)
    workflow.write(SMALL)
    workflow.run("-n", *PAGES)
    assert not (tmp_path / "results").exists()


def test_snakemakes_own_output_on_request(done):
    done.write(merged(pages={"decimals": 2}))
    text = done.run("--verbose", "results/table5.md").stdout
    assert "Job stats:" in text
    assert "Rendering results/table5.md" in text


def test_the_report_opens_on_a_description_and_labels_every_item(done):
    done.run("--report", "report.html", *PAGES, "results/table5.html")
    text = (done.folder / "report.html").read_text()
    assert "Where to start." in text
    assert "The scale of this report: test." in text
    labels = re.findall(r'"labels": ({[^}]*})', text)
    assert [json.loads(x)["page"] for x in labels] == ["Table 5", "Figure 5"] or [
        json.loads(x)["page"] for x in labels
    ] == ["Figure 5", "Table 5"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (125, "2:05"), (3723, "1:02:03")]
)
def test_a_clock(seconds, text):
    assert _clock(seconds) == text


def test_a_reason_that_is_not_known_is_shown_as_it_is():
    assert _reason("Something new: a, b") == "Something new: a, b"


def test_the_time_left_follows_what_was_seen():
    """Twice as slow as expected: the estimate of the rest doubles."""
    run = Run()
    run.expect(dict.fromkeys("abcd", 10.0), cores=1)
    assert run.seconds_left() == pytest.approx(40, rel=0.01)

    def record(job: int, name: str) -> SimpleNamespace:
        log = f"results/{name}/train.log"
        return SimpleNamespace(
            jobid=job, log=[log], output=["x"], rule_msg="", rule_name="finetune"
        )

    for job, name in enumerate("ab"):
        run.started(record(job, name))
        assert run.finished(job) == []
    run.began = time.monotonic() - 40
    assert run.seconds_left() == pytest.approx(40, rel=0.01)

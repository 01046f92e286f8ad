"""A job whose inputs change while it runs publishes nothing, and damaged results are noticed."""

import json

import pytest

from bench import FINETUNE, TRAIN, wait_for
from fixres import jobs
from shared import fixres

EVERY_STEP = ("--checkpoint-seconds", 0)


def replace(file, content: bytes) -> None:
    """Put a new file with this content in the place of `file`."""
    with jobs.atomic(file) as temporary:
        temporary.write_bytes(content)


@pytest.mark.parametrize("which", ["config.json", "manifest.npz", "base.safetensors"])
@pytest.mark.parametrize("how", ["changed", "removed"])
def test_nothing_is_published_when_an_input_changes(bench, trained, which, how):
    """A fine-tuning runs while its configuration, its images or its starting point change."""
    base, changing = bench.folder / "base.safetensors", bench.folder / which
    base.write_bytes((trained.folder / "weights.safetensors").read_bytes())
    config = FINETUNE | {"recipe": FINETUNE["recipe"] | {"epochs": 400}}
    process = bench.start(config, "--weights", base, *EVERY_STEP)
    wait_for(bench.checkpoints, process)
    if how == "removed":
        changing.unlink()
    else:
        replace(changing, changing.read_bytes() + b"\n")
    log = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    message = f"{changing}: {how} while this job ran, so nothing was written. "
    assert f"{message}Run the same command again" in log
    assert not (bench.folder / "weights.safetensors").exists()


def test_the_same_content_again_is_no_change(bench, trained):
    """As when a rule runs again and writes the same file."""
    process = bench.start(TRAIN, *EVERY_STEP)
    wait_for(bench.checkpoints, process)
    replace(bench.folder / "config.json", (bench.folder / "config.json").read_bytes())
    assert process.wait(60) == 0, process.stderr.read()


def test_a_configuration_that_is_not_the_planned_one_is_refused(bench):
    """What Snakemake planned comes as a digest. The file has another seed."""
    planned = f"{jobs.digest(jobs.canonical(TRAIN))}.{jobs.digest()}"
    result = fixres(*bench.command(TRAIN | {"seed": 1}, "--ancestry-digest", planned))
    assert result.returncode == 1
    assert f"{bench.folder / 'config.json'}: not what Snakemake planned" in result.stderr
    bench.run(TRAIN, "--ancestry-digest", planned)


@pytest.mark.parametrize(
    "content", [{"top1": 77.1, "k_test": {"56": {"top1": 1 / 3}}, "notes": ["é"]}, {}]
)
def test_results_carry_a_digest(tmp_path, content):
    """Change each byte in turn, and cut the file off at each byte."""
    file = tmp_path / "metrics.json"
    jobs.write_json(file, content)
    assert jobs.read_json(file) == json.loads(json.dumps(content))
    whole = file.read_bytes()
    for position in range(len(whole)):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            assert jobs.read_json(file) == json.loads(json.dumps(content))  # white space
        except ValueError:
            continue
        file.write_bytes(whole[:position])
        with pytest.raises(ValueError):  # noqa: PT011 (JSON's or the digest's)
            jobs.read_json(file)

"""Fine-tuning as a command: which layers change, and activations from memory or computed again."""

import pytest
import torch

from bench import FINETUNE, same
from shared import fixres


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_cached_and_streamed_activations_give_the_same_bits(trained, bench, precision):
    start = ["--weights", trained.folder / "weights.safetensors", "--precision", precision]
    cached = bench.run(FINETUNE, *start)
    assert "computed once" in cached.stderr
    once = bench.read()
    streamed = bench.run(FINETUNE, *start, "--cache-mb", 0)
    assert "streamed" in streamed.stderr
    assert same(once, bench.read())


def test_a_finished_fine_tuning_that_was_lost_is_only_written_again(trained, bench):
    """A fine-tuning and its evaluation run in one submission, and the evaluation fails.

    Then Snakemake deletes the results of both.
    """
    command = (FINETUNE, "--weights", trained.folder / "weights.safetensors", "--keep-checkpoint")
    bench.run(*command)
    once = bench.read()
    (bench.folder / "weights.safetensors").unlink()
    steps = FINETUNE["recipe"]["epochs"] * (96 // FINETUNE["recipe"]["batch_size"])
    assert f"resuming after step {steps} " in bench.run(*command).stderr
    assert same(once, bench.read())
    assert len(list((bench.folder / "checkpoints").iterdir())) == 1


def test_fine_tuning_changes_the_last_layers_only(trained, bench):
    bench.run(FINETUNE, "--weights", trained.folder / "weights.safetensors")
    before, after = trained.read(), bench.read()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"fc.weight", "fc.bias"} | {
        f"layer4.bn2.{n}"
        for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }


@pytest.mark.parametrize("name", ["train DA", "test DA2"])
def test_random_augmentations_are_streamed(trained, bench, name):
    config = FINETUNE | {"augmentation": {"name": name, "jitter": 0.05}}
    log = bench.run(config, "--weights", trained.folder / "weights.safetensors").stderr
    assert "computed once" not in log
    assert not same(bench.read(), trained.read())


def test_a_batch_larger_than_the_set_is_told_before_anything_runs(trained, bench):
    config = FINETUNE | {"recipe": FINETUNE["recipe"] | {"batch_size": 1000}}
    result = fixres(*bench.command(config, "--weights", trained.folder / "weights.safetensors"))
    assert result.returncode == 1
    for part in ("fine_tuning.batch_size", "1000", "96 images"):
        assert part in result.stderr

"""What runs on a GPU runs under torch's fake tensors, with the device "cuda" and no GPU.

A fake tensor has a shape, a type, a device and no numbers. So these tests find a tensor that lies
on the wrong device, types that do not fit, and a step that waits for the device: nobody can read a
number from a fake tensor (`.item()` raises). They say nothing about numbers, speed or memory. Only
forward passes run, for torch's autograd needs the driver: gradients are zeros of the parameters'
shapes.
"""

from dataclasses import replace
from itertools import repeat

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
    unset_fake_temporarily,
)

from bench import FINETUNE, RECIPE
from fixres.artifacts import manifest
from fixres.artifacts.predictions import Cropping
from fixres.data import loader, regions, requests, sampling
from fixres.hardware.device import Device
from fixres.hardware.ranks import ALONE, Ranks
from fixres.models import construct, distributions, matching
from fixres.models.adapt import adapt_last_layers
from fixres.models.catalogue import zoo
from fixres.models.catalogue.network import IMAGENET
from fixres.models.float32 import compute_in_float32
from fixres.stages import (
    activation_cache,
    activations,
    finetune,
    head,
    match,
    memory,
    sgd,
    timing,
    train,
)
from fixres.stages.opened import Opened
from fixres.stages.predict import as_it_is, predict
from shared import machine_options

QUARTERS = sorted(zoo.TWINS)
CUDA = Device(torch.device("cuda", 0), "bf16")
CLASSES = 4
NO_RELU = {"efficientnetq"}
LAYERS = ["batch-norm", "classifier"]
K = 64


@pytest.fixture(autouse=True)
def cuda(monkeypatch):
    """The body of a test runs with fake tensors. The loader hands over pixels without numbers."""

    def blank(_manifest, wanted, *_):
        for crops in wanted:
            yield crops, [torch.zeros(len(v.image), k, k, 3, dtype=torch.uint8) for v, k in crops]

    def numbers(tensor):
        assert tensor.device.type == "cpu", "a GPU's tensor has no array: .cpu() first"
        return np.zeros(tensor.shape, str(tensor.dtype).removeprefix("torch."))

    def counts(tensor, minlength):
        assert tensor.dtype in (torch.int32, torch.int64)
        return torch.zeros(minlength, dtype=torch.int64, device=tensor.device)

    def gradients(loss, parameters):
        assert loss.requires_grad
        assert loss.shape == ()
        return tuple(torch.zeros_like(p) for p in parameters)

    monkeypatch.setattr(loader, "batches", blank)
    monkeypatch.setattr(torch.autograd, "grad", gradients)
    # Where there is no GPU, torch switches CUDA's autocast off.
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    # Fake tensors know none of these.
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch.Tensor, "numpy", numbers)
    monkeypatch.setattr(torch, "bincount", counts)
    loader._channels.cache_clear()
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield
    loader._channels.cache_clear()


def on_cuda(network: nn.Module) -> nn.Module:
    """The network with its parameters and buffers on the GPU (`Module.to` refuses fake ones)."""
    for module in network.modules():
        for name, p in module._parameters.items():
            if p is not None:
                p = nn.Parameter(torch.empty_like(p, device=CUDA.device), p.requires_grad)
                module._parameters[name] = p
        for name, b in module._buffers.items():
            if b is not None:
                module._buffers[name] = torch.empty_like(b, device=CUDA.device)
    return network


@pytest.fixture(params=QUARTERS)
def name(request) -> str:
    return request.param


@pytest.fixture
def built(name) -> nn.Module:
    """A quarter network. It is built with numbers, and then moved."""
    with unset_fake_temporarily():
        network = construct.build(name, CLASSES, 0)
    return on_cuda(network)


def images(n: int = 4) -> torch.Tensor:
    x = torch.rand(n, 3, K, K, device=CUDA.device)
    return x.contiguous(memory_format=torch.channels_last)


def check_logits(logits: torch.Tensor, n: int, dtype: torch.dtype = torch.bfloat16) -> None:
    """On the device, and as precise as autocast leaves them."""
    assert logits.shape == (n, CLASSES)
    assert logits.device == CUDA.device
    assert logits.dtype == dtype


# --- the limits of these tests -------------------------------------------------------------------


def test_a_number_cannot_be_read():
    with pytest.raises(DataDependentOutputException):
        images().sum().item()


def test_a_tensor_on_the_wrong_device_is_an_error():
    with pytest.raises(RuntimeError, match="device"):
        images() + torch.ones(4, 3, K, K)


# --- training ------------------------------------------------------------------------------------


def test_crops_of_train_da_are_made_on_the_device(tiny):
    """With colour jitter; CutMix on top, whose targets are distributions."""
    rows = tiny.rows("train")[:6]
    augmentation = regions.Augmentation("train DA", jitter=0.3)
    rocs = regions.rocs(augmentation, K, rows, tiny.height[rows], tiny.width[rows], 0, 0)
    pixels = torch.zeros(6, K, K, 3, dtype=torch.uint8)
    x = loader.to_device(pixels, rocs, *IMAGENET, CUDA.device)
    labels = torch.zeros(6, dtype=torch.long, device=CUDA.device)
    (mixed,), targets = train.cutmix(x, labels, sampling.cutmix(0, 0, 1.0, K), CLASSES)
    assert (mixed.shape, mixed.device) == ((6, 3, K, K), CUDA.device)
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    assert (targets.shape, targets.device) == ((6, CLASSES), CUDA.device)


class Beside(Ranks):
    """One of two processes."""

    def sum(self, tensors):
        assert {t.device for t in tensors} == {CUDA.device}
        return [t + t for t in tensors]


def step_of(trained: nn.Module, batch: sgd.Batch) -> sgd.Step:
    recipe = RECIPE | {"batch_size": batch.micro * batch.count, "epochs": 1}
    how = sgd.Optimisation(recipe, 2, batch, CUDA)
    return sgd.Step(trained, sgd.State(trained, how.log()), how)


def test_a_step_of_training_reads_no_number(built):
    """Two micro-batches, then the update: nothing waits for the device."""
    step = step_of(built.train(), sgd.Batch(4, 2, 2))
    labels = torch.zeros(4, dtype=torch.long, device=CUDA.device)
    for number in range(2):  # the first one makes the momenta
        loss, asked = step(number, 0.1, repeat(((images(),), labels)))
    assert (loss.shape, loss.device, asked) == ((), CUDA.device, None)
    assert loss.dtype == torch.float32
    assert {t.device for t in step.state.momenta} == {CUDA.device}
    step.how = replace(step.how, ranks=Beside(0, 2))
    _, asked = step(2, 0.1, repeat(((images(),), labels)))
    assert (asked.shape, asked.device) == ((), CUDA.device)


# --- fine-tuning ---------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [["classifier"], LAYERS, [*LAYERS, "cells"]])
def test_trunk_and_head(name, built, layers):
    adaptation = adapt_last_layers(built, zoo.ZOO[name], layers, K)
    with torch.no_grad(), CUDA.autocast():
        activations = adaptation.trunk(images())
        assert {a.device for a in activations} == {CUDA.device}
        check_logits(adaptation.head(*activations), 4)


def test_a_fine_tuning_with_its_cache(name, built, tiny, monkeypatch):
    """The trunk on test DA crops, the cache on the device, a step of the head."""
    monkeypatch.setattr(activation_cache, "free_bytes", lambda _: 1e9)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    adaptation = adapt_last_layers(built, zoo.ZOO[name], LAYERS, K)
    config = FINETUNE | {"network": name, "k_test": K}
    options = machine_options(loader="pillow", workers=1)
    crops = finetune.crops_of(Opened(options, config, tiny, CUDA, ALONE), adaptation)
    run_trunk = head.trunk_on(adaptation, crops, CUDA)
    rows = tiny.rows("train")[:10]
    _, probe = next(run_trunk([(rows[:1], 0)]))
    cache = activation_cache.compute_once(run_trunk, probe, rows, 4, 1e9, CUDA.device, ALONE)
    assert all(store.is_cuda and len(store) == 10 for store in cache.stores)
    on_host = cache._replace(stores=tuple(store.cpu() for store in cache.stores))

    trained = nn.ModuleList(adaptation.trained)
    step = step_of(trained, sgd.Batch(4, 1, 1))
    step.model = adaptation.head
    labels = torch.zeros(4, dtype=torch.long, device=CUDA.device)
    for store in (cache, on_host):
        read = store.read(np.array([7, 0, 3, 3]))
        assert all(a.is_cuda and len(a) == 4 for a in read)
        loss, _ = step(0, 0.1, iter([(read, labels)]))
        assert loss.device == CUDA.device


# --- measuring -----------------------------------------------------------------------------------


def reader_of(data: manifest.Manifest, name: str) -> requests.CropReader:
    entry, rows = zoo.ZOO[name], data.rows("val")[:10]
    return requests.CropReader(data, rows, entry.mean, entry.std, CUDA, "pillow", 1, ALONE)


def test_an_evaluation_computes_logits_in_float32(name, built, tiny, monkeypatch):
    """At two resolutions, and with ten crops an image."""
    # Which images have logits that are not finite is a question to numbers on the host.
    monkeypatch.setattr("fixres.stages.predict.check_finite", lambda *_: None)
    built.eval()
    compute_in_float32(built, zoo.ZOO[name].classifier)
    with torch.no_grad(), CUDA.autocast():
        check_logits(built(images()), 4, torch.float32)
    croppings = [Cropping(K), Cropping(80), Cropping(K, regions.TEN)]
    test_da = regions.Augmentation("test DA")
    [top] = predict(as_it_is, [built], reader_of(tiny, name), test_da, [croppings], 3)
    assert {c: classes.shape for c, classes in top.items()} == dict.fromkeys(croppings, (10, 3))


@pytest.mark.parametrize("model", matching.MODELS)
def test_the_probe_of_a_matching(name, built, model):
    if model == "gaussian" and name in NO_RELU:
        pytest.skip("its last activation is no ReLU: it has no Gaussian matching")
    matched = on_cuda(matching.insert(built, model))
    with torch.no_grad(), CUDA.autocast():
        mapped, pooled = matching.probe(matched)(images())
        moments = distributions.Moments.of(mapped)
        counts = distributions.histogram(pooled)
    assert moments.mean.dtype == np.float64
    assert counts.device == CUDA.device


def test_the_activations_of_each_image(name, built, tiny, monkeypatch):
    monkeypatch.setattr(distributions, "all_finite", lambda _: True)  # of numbers on the host
    probe, _ = matching.watch(built)
    reader, test_da = reader_of(tiny, name), regions.Augmentation("test DA")
    seen = match.measure(probe, reader, test_da, [K])
    found, _ = activations.image_by_image(probe, reader, test_da, seen, 2.0)
    assert all(len(values) == 10 for values in found[K].values())


@pytest.mark.parametrize("layers", [[], LAYERS])
def test_what_is_timed_and_whose_memory_is_measured(name, built, layers):
    recipe = FINETUNE["recipe"] | {"samples_per_epoch": None}
    config = {"network": name, "layers": layers, "k": K, "recipe": recipe}
    labels = torch.zeros(4, dtype=torch.long, device=CUDA.device)
    loss = timing.forward_pass(config, built, CUDA)(images(), labels)
    assert (loss.shape, loss.device) == ((), CUDA.device)
    whole, _ = memory.what_trains(config, built, CUDA)
    with CUDA.autocast():
        check_logits(whole(images()), 4)

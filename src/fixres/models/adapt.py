"""Adaptation via fine-tuning: the paper's method in one function (§4.2).

    resnet = ZOO["resnet50"]
    adaptation = adapt_last_layers(network, resnet, ["batch-norm", "classifier"], k_test=384)
    logits = adaptation.head(*adaptation.trunk(crops))  # equals network(crops); the head trains

A network was trained on crops of k_train pixels. Larger crops at test time shift the statistics of
its activations before the global average pooling. Fine-tuning its very last layers at k_test
compensates for that shift. `adapt_last_layers` decides what trains, in which mode, and on which
crops. The training itself is in stages/finetune.py.
"""

from typing import NamedTuple

import numpy as np
from torch import nn

from fixres.artifacts.manifest import Manifest
from fixres.data.batch_layout import Crops
from fixres.data.regions import Augmentation, rocs
from fixres.models.catalogue.network import Network
from fixres.models.split import split

TEST_DA = Augmentation("test DA")


class Adaptation(NamedTuple):
    """A network that is ready to be fine-tuned at one k_test. Trunk and head share its parameters.

    Attributes
    ----------
    trunk : frozen. Crops (n, 3, k_test, k_test) -> tuple of activations with n rows each.
    head : trains. These activations -> logits (n, classes).
    trained : the modules that train, none inside another.
    dropouts : the dropout layers of the head.
    k_test : side of the crops, pixels.
    augmentation : how the crops are drawn.
    """

    trunk: nn.Module
    head: nn.Module
    trained: list[nn.Module]
    dropouts: list[nn.Module]
    k_test: int
    augmentation: Augmentation

    @property
    def constant_activations(self) -> bool:
        """Whether the trunk gives the same activations for an image in every epoch."""
        return self.augmentation.deterministic

    def crops(self, data: Manifest, rows: np.ndarray, seed: int, epoch: int) -> Crops:
        """The crops to train on in one epoch: one of each image, `rows` (n,) of the manifest."""
        h, w = data.height[rows], data.width[rows]
        return Crops(rocs(self.augmentation, self.k_test, rows, h, w, seed, epoch), self.k_test)


def adapt_last_layers(
    network: nn.Module,
    entry: Network,
    layers: list[str],
    k_test: int,
    batch_norm: str = "affine+statistics",
    augmentation: Augmentation = TEST_DA,
) -> Adaptation:
    """Make a trained network ready to be fine-tuned at `k_test`. The network is changed in place.

    Parameters
    ----------
    entry : the zoo's entry of the network. It names the last layers.
    layers : what trains, any of "classifier", "batch-norm" and "cells".
    k_test : side of the crops, pixels.
    batch_norm : what trains of the last batch-norm. "affine+statistics" (the paper): its affine
        weights and its running statistics. "statistics" (the authors' released code): its running
        statistics only.
    augmentation : "test DA" (§4.2), "test DA2" or "train DA" (§5, "Fine-tuning
        data-augmentation").

    Raises
    ------
    ValueError : the network has no such layers, or cannot be cut there (see `split`).
    """
    # What is frozen: all but the last layers. In eval mode its batch-norms keep their statistics.
    network.eval().requires_grad_(False)
    parts = split(network, last_layers(entry, layers), k_test)

    # What trains is in train mode. A batch-norm in train mode follows the statistics of the
    # batches: "in this way the batch statistics are adapted to the increased resolution".
    for module in parts.trainable:
        module.train().requires_grad_(True)

    # The released code leaves the affine weights of the last batch-norm as they are. Where that
    # batch-norm is part of a trained cell, it trains with the cell.
    if batch_norm == "statistics":
        for module in (network.get_submodule(name) for name in entry.last_batch_norm):
            if module in parts.trainable:
                module.requires_grad_(False)

    # Dropout between the trained layers and the logits is active, as in the released code.
    for module in parts.dropouts:
        module.train()

    # On which crops: training images, cut at k_test as at test time "to avoid incurring further
    # domain shifts". Test DA cuts the same crop of an image in every epoch, so the activations of
    # the frozen trunk are computed once. Test DA2 and train DA draw new crops.
    return Adaptation(*parts, k_test, augmentation)


def last_layers(entry: Network, layers: list[str]) -> list[str]:
    """The names of the modules that train: "the very last layers of the network"."""
    names = {
        "classifier": entry.classifiers,
        "batch-norm": entry.last_batch_norm,  # "that precedes the global pooling"
        "cells": entry.cells,  # the last three, entirely (PNASNet, §5.1)
    }
    return [name for layer in layers for name in names[layer]]

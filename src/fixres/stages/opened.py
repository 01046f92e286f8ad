"""What every stage that runs a network does before its own work and after it.

    def main(arguments: list[str]) -> None:
        run(match, "match", __doc__, arguments, "manifest", "weights", "out")


    def match(job: Opened) -> None:
        network = job.load(job.config["seed"])
        …

`run` reads the command line, starts the job's processes, reads the configuration and the manifest,
and opens the device. When the stage is done, it logs where the processor time went.
"""

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import nn

from fixres import jobs
from fixres.artifacts import manifest, metrics, weights
from fixres.artifacts.manifest import Manifest
from fixres.data.regions import Augmentation
from fixres.data.requests import CropReader
from fixres.hardware import processes
from fixres.hardware.device import Device, open_device
from fixres.hardware.ranks import Ranks
from fixres.models import matching
from fixres.models.catalogue import zoo


class Opened(NamedTuple):
    """One process of a job that is ready to start its own work."""

    args: argparse.Namespace
    config: dict  # the job's resolved configuration
    data: Manifest | None  # None for a stage without --manifest
    device: Device
    ranks: Ranks

    @property
    def entry(self) -> zoo.Network:
        """What the catalogue, or the configuration, says of the job's network."""
        return zoo.entry_of(self.config)

    @property
    def test_da(self) -> Augmentation:
        """Test DA with the test transform that the configuration names."""
        return Augmentation("test DA", test_resize=self.config.get("test_resize", "paper"))

    def load(self, seed: int = 0) -> nn.Module:
        """The network with --weights, in eval mode, on the device."""
        network = matching.load(self.entry, len(self.data.classes), seed, self.args.weights)
        return network.to(self.device.device).eval()

    def save(self, network: nn.Module, **more: object) -> None:
        """Write the weights of a network as --out, with the run and the classes they belong to."""
        about = {"run": self.config["run"], "classes": list(self.data.classes)}
        about |= {**matching.about(network), **more}
        weights.save(self.args.out, network.state_dict(), about)

    def write_measured(self, *notes: str, **measured: object) -> None:
        """Write what was measured of batches as metrics.json, with notes on how."""
        about = {"run": self.config["run"], "batch": self.config["batch"], "notes": list(notes)}
        metrics.write(self.args.out, about | measured)

    def reader(self, rows: np.ndarray) -> CropReader:
        """Reads these images of the manifest, for the job's network."""
        entry, args = self.entry, self.args
        loading = (self.device, args.loader, args.workers, self.ranks)
        return CropReader(self.data, rows, entry.mean, entry.std, *loading)


def run(
    stage: Callable[[Opened], None],
    name: str,
    doc: str,
    arguments: list[str],
    *files: str,
    options: Callable[[argparse.ArgumentParser], object] = lambda _: None,
) -> None:
    """Run a stage that runs a network, in this process or in several.

    `name`, `doc` and `files` are as in `jobs.parser`. `options` adds the stage's own options.
    """
    p = jobs.device_options(jobs.parser(name, doc, *files))
    options(p)

    def opened(args: argparse.Namespace, ranks: Ranks) -> None:
        config = jobs.read_config(args.config, name, args.ancestry_digest)
        data = manifest.load(args.manifest) if "manifest" in args else None
        graphs = bool(getattr(args, "cuda_graphs", False))
        device = open_device(args.device, args.precision, args.threads, ranks, args.compile, graphs)
        startup = time.process_time()
        stage(Opened(args, config, data, device, ranks))
        jobs.log_times(startup)

    processes.run(opened, p.parse_args(arguments), [name, *arguments])

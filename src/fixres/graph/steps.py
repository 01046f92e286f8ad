"""What one step costs: jobs that measure times and memory. Their networks have random weights."""

from fixres.config import BaseTraining, FineTuning
from fixres.graph.runs import LAYERS, Runs


class Steps(Runs):
    """What a page can ask of one step of the ResNet-50 of this scale, at `k` pixels.

    Parameters of the methods
    -------------------------
    layers : the layers that fine-tuning trains, a key of `LAYERS`; None: base training.
    batch : images of a batch.
    """

    def time(self, k: int, layers: str | None, batch: int) -> str:
        """Time its forward and backward pass (Table 7)."""
        c, settings = self.config, self._settings_of_step(layers)
        augmentation = {"name": "test DA"}
        if not layers:
            augmentation = {"name": "train DA", **settings.augmentation.model_dump()}
        tuned = f"-ft-{layers}" if layers else ""
        self._list_images(c.dataset)
        return self._add(
            "time",
            f"timing/{c.dataset}/{c.network}-k{k}{tuned}{self._protocol}",
            recipe=settings.model_dump(exclude={"augmentation", "repeats"}),
            augmentation=augmentation,
            network=c.network,
            k=k,
            layers=LAYERS[layers] if layers else [],
            batch=batch,
        )

    def time_evaluation(self, k: int, batch: int) -> str:
        """Time its forward pass as an evaluation runs it: in eval mode, without gradients (§1)."""
        c = self.config
        self._list_images(c.dataset)
        return self._add(
            "time",
            f"timing/{c.dataset}/{c.network}-k{k}-eval",
            augmentation={"name": "test DA"},
            network=c.network,
            k=k,
            passes=["forward"],
            batch=batch,
        )

    def memory(self, k: int, layers: str | None, batch: int) -> str:
        """Measure the peak memory of a step of training or fine-tuning (§1, Table 7)."""
        c, settings = self.config, self._settings_of_step(layers)
        tuned = f"-ft-{layers}" if layers else ""
        self._list_images(c.dataset)
        return self._add(
            "memory",
            f"memory/{c.dataset}/{c.network}-k{k}{tuned}{self._protocol}",
            recipe=settings.model_dump(include={"momentum", "batch_norm"}),
            network=c.network,
            k=k,
            layers=LAYERS[layers] if layers else [],
            batch=batch,
        )

    def _settings_of_step(self, layers: str | None) -> BaseTraining | FineTuning:
        return self.fine_tuning() if layers else self._base_training()[0]

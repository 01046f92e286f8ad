"""Jobs that need no network: apparent sizes (§3.1), and the crops that Figure 1 shows.

| id | the job |
|---|---|
| sizes/<dataset>/k<k_train>-k<k_test> | measures how train DA and test DA change apparent sizes |
| sizes/<dataset>/crops-k<k_train> | cuts the crops of one image |

Their RoCs are those of a base training, so a seed other than 0 stands in their ids as in the id of
a training.
"""

from fixres.config import BaseTraining, laid_over
from fixres.graph.steps import Steps

IMAGES = 50_000  # training images that apparent sizes are measured on, drawn at random
EPOCHS = 10  # of whose RoCs; a shorter training has fewer
SEARCHED = 500  # training images among which the one of Figure 1 is found


class Sizes(Steps):
    """What a page can ask for besides runs."""

    def measure_sizes(self, k_train: int, k_test: int) -> str:
        """Measure apparent sizes under train DA at `k_train` and test DA at `k_test` pixels."""
        recipe, _ = self._base_training()
        return self._measure_sizes(self.config.dataset, k_train, k_test, recipe)

    def measure_transfer_sizes(self, dataset: str) -> str:
        """The same for a dataset of Table 3, as its transfer draws the RoCs (§5.3)."""
        transfer = self.config.transfer
        recipe = laid_over(self.config.base_training, transfer.training, "transfer.training")
        return self._measure_sizes(dataset, transfer.k_train, transfer.k_test, recipe)

    def _measure_sizes(self, dataset: str, k_train: int, k_test: int, recipe: BaseTraining) -> str:
        self._list_images(dataset)
        released = self.config.evaluation.test_resize == "released"
        return self._add(
            "sizes",
            f"sizes/{dataset}/k{k_train}-k{k_test}{'_released' * released}"
            f"{self._protocol}{self._seed_name()}",
            k_train=k_train,
            k_test=k_test,
            images=IMAGES,
            samples_per_epoch=recipe.samples_per_epoch,
            batch_size=recipe.batch_size,
            repeated_augmentation=recipe.repeated_augmentation,
            **self._drawing(recipe),
        )

    def cut_crops(self, k_train: int, lower: int, higher: int) -> str:
        """Cut the crops of one image, for Figure 1.

        Parameters
        ----------
        k_train : resolution of the usual protocol, at train and test time.
        lower, higher : another resolution at train time, and one at test time.
        """
        dataset, (recipe, _) = self.config.dataset, self._base_training()
        self._list_images(dataset)
        released = self.config.evaluation.test_resize == "released"
        return self._add(
            "crops",
            f"sizes/{dataset}/crops-k{k_train}{'_released' * released}"
            f"{self._protocol}{self._seed_name()}",
            k_train=k_train,
            k_trains=sorted({k_train, lower}),
            k_tests=sorted({k_train, higher}),
            images=SEARCHED,
            **self._drawing(recipe),
        )

    def _drawing(self, recipe: BaseTraining) -> dict:
        """How the RoCs are drawn: as in a base training, and as in an evaluation."""
        # Jitter moves no RoC.
        augmentation = recipe.augmentation.model_dump(exclude={"jitter"})
        return {
            "seed": self.seed,
            "epochs": min(EPOCHS, recipe.epochs),
            "augmentation": {"name": "train DA", **augmentation},
            "test_resize": self.config.evaluation.test_resize,
        }

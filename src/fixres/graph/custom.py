"""A custom network and images: the jobs behind results/recommend/<name>.md (docs/recommend.md).

The network is measured as it is at each k_test, with its last normalisation's statistics estimated
again, with its classifier fine-tuned, and with classifier and last normalisation fine-tuned.

| id | the job |
|---|---|
| runs/<dataset>/<name>-pretrained | builds the network, and puts its weights in |
| speed/<dataset>/<name> | measures time and memory of its forward pass at each k_test |
| <run>/statistics-k<k_test> | estimates the statistics of its last batch-norm at that k_test |
| recommend/<name>/choice | chooses k_test and crop_pct, and measures the gain |
| recommend/<name>/export | writes the chosen network for other programs |
| recommend/<name> | renders the answer |

All others are as in graph/runs.py. A custom network is no entry of the zoo: what is known of
it stands in the resolved configuration of each of its jobs, as `entry`.
"""

from fixres.config import laid_over
from fixres.graph.outputs import measurement_of, parent_of
from fixres.graph.pages import Answer, Candidates, Measurement, Recommendation
from fixres.graph.registry import custom_weights
from fixres.graph.sizes import Sizes

# What is done to the network, least first.
METHODS = AS_IS, STATISTICS, CLASSIFIER, FIXED = (
    "as it is",
    "statistics",
    "classifier",
    "classifier + norm",
)
TRAINED = {CLASSIFIER: "cls", FIXED: "cls+bn"}  # method -> fine_tuning.layers


class CustomJobs(Sizes):
    """The jobs of `recommend` of the configuration, where it is given."""

    def add_custom(self) -> None:
        """Add all that results/recommend/<name>.md needs."""
        custom = self.config.custom
        if not custom:
            return

        def of_seeds(method: str, k: int) -> list[Measurement]:
            runs = self.at_every_seed(lambda: self._measured(method, k))
            return list(map(measurement_of, runs))

        runs = {m: {k: of_seeds(m, k) for k in custom.k_tests} for m in self._methods()}
        speed = self._add(
            "speed",
            f"speed/{self.config.dataset}/{custom.name}",
            network=custom.name,
            k_test=custom.k_tests,
            batch=custom.batch,
        )
        about = {"network": custom.name, "dataset": self.config.dataset, "runs": runs}
        where = {
            "native": custom.native,
            "crop_pct": custom.ratios,
            "native_crop_pct": custom.network.crop_pct,
        }
        candidates = Candidates(
            **about,
            **where,
            run=self.recommendation_job("choice"),
            share=custom.choice,
            speed=measurement_of(speed),
        )
        answer = Answer(
            **about,
            **where,
            title=custom.network.title or custom.network.source,
            trained=custom.train,
            seeds=len(self.config.seeds),
            decimals=self.config.pages.decimals,
        )
        self._candidates = candidates
        export = Recommendation(**about)
        for stage, name, record in (
            ("choose", "choice", candidates),
            ("export", "export", export),
            ("answer", "", answer),
        ):
            self._add(stage, self.recommendation_job(name), **record.content())

    def recommendation_job(self, name: str = "") -> str:
        """The id of one of the last three jobs; "" without `recommend`."""
        custom = self.config.custom
        return "/".join(filter(None, ("recommend", custom.name, name))) if custom else ""

    # --- its runs --------------------------------------------------------------------------------

    def _methods(self) -> list[str]:
        """What is done to the network. Without running statistics there are none to estimate."""
        without = () if self.config.custom.network.has_statistics else (STATISTICS,)
        return [method for method in METHODS if method not in without]

    def _measured(self, method: str, k_test: int) -> str:
        """The run of a method at one k_test, evaluated there."""
        run = self._network()
        if method == STATISTICS:
            run = self._estimate(run, k_test)
        elif method in TRAINED:
            layers = {"layers": TRAINED[method]}
            run = self.finetune(run, k_test, laid_over(self.config.fine_tuning, layers, "custom"))
        return self.evaluate(run, k_test)

    def _estimate(self, run: str, k_test: int) -> str:
        """Estimate the statistics of the last batch-norm again at `k_test`."""
        return self._add(
            "statistics",
            f"{run}/statistics-k{k_test}{self._seed_name(run)}",
            seed=self.seed,
            network=self.config.custom.name,
            k_test=k_test,
            images=self.config.matching.images,
            crop_pct=self.config.custom.network.crop_pct,
        )

    def _network(self) -> str:
        """The network that is tested and fixed: as it comes, or trained on these images."""
        custom, c = self.config.custom, self.config
        start = None
        if custom.network.weights != "none":
            self._list_images(c.dataset)
            start = self._add(
                "pretrained",
                f"runs/{c.dataset}/{custom.name}-pretrained",
                network=custom.name,
                source={"custom": custom_weights(custom.network.weights)},
                classes=custom.network.outputs,
            )
        if not custom.train:
            return start
        return self._train(
            custom.name, custom.native, c.dataset, c.base_training, "base_training", init=start
        )

    def custom_costs(self) -> dict:
        """What estimates of time and disk space take from `recommend`, and from its trial."""
        custom, rate = self.config.custom, self.config.hardware.multiply_adds_per_second
        measured = {"multiply_adds_per_second": rate} if rate else {}
        if not custom:
            return measured
        counted = ("native", "stride", "multiply_adds", "parameters")
        network = {key: getattr(custom.network, key) for key in counted}
        return measured | {"custom": {custom.name: network}}

    # --- what the rules ask ----------------------------------------------------------------------

    def custom_runs(self) -> list[str]:
        """All runs that are measured, each once."""
        return [found.run for found in self._candidates.measurements()]

    def custom_measurements(self) -> list[str]:
        """The files that the choice is made from."""
        found = self._candidates.measurements()
        files = [file for one in found for file in (one.metrics, one.per_image)]
        return [f"results/{file}" for file in (*files, self._candidates.speed.metrics)]

    def custom_parents(self, job: str) -> list[str]:
        """The jobs that one of recommend/ needs."""
        content, choice = self.resolved(job), self.recommendation_job("choice")
        if content["stage"] == "choose":
            found = (*self._candidates.measurements(), self._candidates.speed)
            return [parent_of(one.metrics) for one in found]
        if content["stage"] == "export":
            return [choice, *self.custom_runs(), f"data/{content['dataset']}/manifest"]
        return [choice, self.recommendation_job("export")]

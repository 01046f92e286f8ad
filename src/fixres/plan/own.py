"""A network and images of one's own: the jobs behind results/own/<name>.md (docs/own.md).

The network is measured as it is at each k_test, with its last normalisation's statistics estimated
again, with its classifier fine-tuned, and with classifier and last normalisation fine-tuned.

| id | the job |
|---|---|
| runs/<dataset>/<name>-pretrained | builds the network, and puts its weights in |
| speed/<dataset>/<name> | measures time and memory of its forward pass at each k_test |
| <run>/statistics-k<k_test> | estimates the statistics of its last batch-norm at that k_test |
| own/<name>/choice | chooses k_test and crop_pct, and measures the gain |
| own/<name>/export | writes the chosen network for other programs |
| own/<name> | renders the answer |

All others are as in plan/runs.py. A network of one's own is no entry of the zoo: what is known of
it stands in the resolved configuration of each of its jobs, as `entry`.
"""

from fixres.config import laid_over
from fixres.plan.outputs import metrics_of, parent_of, per_image_of
from fixres.plan.registry import own_weights
from fixres.plan.sizes import Sizes

# What is done to the network, least first.
METHODS = AS_IS, STATISTICS, CLASSIFIER, FIXED = (
    "as it is",
    "statistics",
    "classifier",
    "classifier + norm",
)
TRAINED = {CLASSIFIER: "cls", FIXED: "cls+bn"}  # method -> fine_tuning.layers


class OwnJobs(Sizes):
    """The jobs of `own` of the configuration, where it is given."""

    def add_own(self) -> None:
        """Add all that results/own/<name>.md needs."""
        own = self.config.own
        if not own:
            return
        runs = {  # method -> k_test -> a run for each seed
            method: {
                str(k): self.at_every_seed(lambda k=k, m=method: self._measured(m, k))
                for k in own.k_tests
            }
            for method in self._methods()
        }
        speed = self._add(
            "speed",
            f"speed/{self.config.dataset}/{own.name}",
            network=own.name,
            k_test=own.k_tests,
            batch=own.batch,
        )
        about = {"network": own.name, "dataset": self.config.dataset, "runs": runs}
        where = {"native": own.native, "crop_pct": own.ratios, "own_crop_pct": own.network.crop_pct}
        self._add("choose", self.own_job("choice"), **about, **where, share=own.choice, speed=speed)
        self._add("export", self.own_job("export"), **about)
        self._add(
            "answer",
            self.own_job(),
            **about,
            **where,
            title=own.network.title or own.network.source,
            trained=own.train,
            seeds=len(self.config.seeds),
            decimals=self.config.pages.decimals,
        )

    def own_job(self, name: str = "") -> str:
        """The id of one of the last three jobs; "" without `own`."""
        own = self.config.own
        return "/".join(filter(None, ("own", own.name, name))) if own else ""

    # --- its runs --------------------------------------------------------------------------------

    def _methods(self) -> list[str]:
        """What is done to the network. Without running statistics there are none to estimate."""
        without = () if self.config.own.network.has_statistics else (STATISTICS,)
        return [method for method in METHODS if method not in without]

    def _measured(self, method: str, k_test: int) -> str:
        """The run of a method at one k_test, evaluated there."""
        run = self._network()
        if method == STATISTICS:
            run = self._estimate(run, k_test)
        elif method in TRAINED:
            layers = {"layers": TRAINED[method]}
            run = self.finetune(run, k_test, laid_over(self.config.fine_tuning, layers, "own"))
        return self.evaluate(run, k_test)

    def _estimate(self, run: str, k_test: int) -> str:
        """Estimate the statistics of the last batch-norm again at `k_test`."""
        return self._add(
            "statistics",
            f"{run}/statistics-k{k_test}{self._seed_name(run)}",
            seed=self.seed,
            network=self.config.own.name,
            k_test=k_test,
            images=self.config.matching.images,
            crop_pct=self.config.own.network.crop_pct,
        )

    def _network(self) -> str:
        """The network that is tested and fixed: as it comes, or trained on these images."""
        own, c = self.config.own, self.config
        start = None
        if own.network.weights != "none":
            self._list_images(c.dataset)
            start = self._add(
                "pretrained",
                f"runs/{c.dataset}/{own.name}-pretrained",
                network=own.name,
                source={"own": own_weights(own.network.weights)},
                classes=own.network.outputs,
            )
        if not own.train:
            return start
        return self._train(
            own.name, own.native, c.dataset, c.base_training, "base_training", init=start
        )

    def own_costs(self) -> dict:
        """What estimates of time and disk space take from `own`, and from its trial."""
        own, rate = self.config.own, self.config.hardware.multiply_adds_per_second
        measured = {"multiply_adds_per_second": rate} if rate else {}
        if not own:
            return measured
        counted = ("native", "stride", "multiply_adds", "parameters")
        network = {key: getattr(own.network, key) for key in counted}
        return measured | {"own": {own.name: network}}

    # --- what the rules ask ----------------------------------------------------------------------

    def own_runs(self) -> list[str]:
        """All runs that are measured, each once."""
        runs = self.resolved(self.own_job())["runs"]
        return list(
            dict.fromkeys(r for at in runs.values() for seeds in at.values() for r in seeds)
        )

    def own_measurements(self) -> list[str]:
        """The files that the choice is made from."""
        files = [file for run in self.own_runs() for file in (metrics_of(run), per_image_of(run))]
        speed = self.resolved(self.own_job("choice"))["speed"]
        return [f"results/{file}" for file in (*files, metrics_of(speed))]

    def own_parents(self, job: str) -> list[str]:
        """The jobs that one of own/ needs."""
        content, choice = self.resolved(job), self.own_job("choice")
        if content["stage"] == "choose":
            return [*(parent_of(metrics_of(run)) for run in self.own_runs()), content["speed"]]
        if content["stage"] == "export":
            return [choice, *self.own_runs(), f"data/{content['dataset']}/manifest"]
        return [choice, self.own_job("export")]

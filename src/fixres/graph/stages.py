"""The stages: for each kind of job, one record with all that is known of it.

To add a stage, write its record here, a file in stages/ and a rule (docs/stages.md). The command
line, the rules, the cost estimates, the failure marks, the report and the progress display read the
records; no other list of stages exists.

Every job starts with this module, so it imports nothing that takes time.
"""

from dataclasses import dataclass

# What a stage needs before it can run (`Stage.parents`).
IMAGES, RUN, START, MEASUREMENTS = "images", "run", "start", "measurements"


@dataclass(frozen=True)
class Stage:
    """A kind of job.

    In `outputs`, `log` and `benchmark`, {id} is the job's id (its folder below results/), {folder}
    the folder above it, and {name} the last part of the id. All are paths below results/.
    """

    name: str
    about: str  # what `fixres --help` says
    work: str  # what a run of it is called on pages, as "training"
    outputs: dict[str, str]  # name -> file
    entry: str  # the module (and :function) of fixres that runs it
    version: int = 1  # raise it when a change of the code changes results: its jobs run again
    log: str = "{id}/log.txt"
    benchmark: str = ""  # where Snakemake leaves the time; "": nowhere
    parents: tuple[str, ...] = ()  # IMAGES: its dataset's manifest; RUN: the run that it adapts or
    # measures; START: the run whose weights a training starts from; MEASUREMENTS: what it shows
    limits: str = ""  # key of hardware.hours and hardware.memory_gb; "": it runs with Snakemake
    uses_device: bool = False  # whether it runs a network, and so has the options about devices
    trains: bool = False  # whether it needs training images
    keeps: tuple[str, ...] = ()  # of a training: keys of `hardware`, the memory for what it keeps
    fails_alone: bool = False  # whether its job leaves a mark when it fails (pages.allow_failed)
    cost: str = ""  # function of graph/costs.py that counts its multiply-adds; "": it has none
    disk: str = ""  # function of graph/costs.py that counts what it leaves on disk, in bytes
    counted_as: str = ""  # its column in results/plan.md
    page: bool = False  # whether it makes pages

    def files(self, job: str) -> dict[str, str]:
        """The outputs of the job with this id: name -> file below results/."""
        return {name: file_of(file, job) for name, file in self.outputs.items()}


def file_of(template: str, job: str) -> str:
    """A file of the job with this id, from a template of `Stage`."""
    folder, _, name = job.rpartition("/")
    return template.format(id=job, folder=folder, name=name)


WEIGHTS = {"weights": "{id}/weights.safetensors"}
TRAINED = WEIGHTS | {"curve": "{id}/log.csv"}
METRICS = {"metrics": "{id}/metrics.json"}
HITS = METRICS | {"hits": "{id}/hits.npz"}
SAMPLES = METRICS | {"samples": "{id}/samples.npz"}
RUNS_NO_NETWORK = {"limits": "", "uses_device": False}


def _images_stage(name: str, about: str, work: str, **more: object) -> Stage:
    """A stage that prepares a dataset. Its files are in the parent of the job's folder."""
    known = {"entry": f"stages.{name}", "benchmark": "{id}/benchmark.tsv", "limits": name}
    return Stage(name, about, work, **known, **more)


def _network_stage(
    name: str, about: str, work: str, outputs: dict[str, str], **more: object
) -> Stage:
    """A stage whose job has its own folder and runs a network; `more` changes that."""
    known = {
        "entry": f"stages.{name}",
        "log": f"{{id}}/{name}.log",
        "benchmark": f"{{id}}/{name}.benchmark.tsv",
        "parents": (IMAGES,),
        "limits": name,
        "uses_device": True,
        "fails_alone": True,
    }
    return Stage(name, about, work, outputs, **known | more)


def _weights_stage(name: str, about: str, work: str, **more: object) -> Stage:
    """A stage that writes weights, made from the weights of a run; `more` changes that."""
    known = {"outputs": WEIGHTS, "parents": (IMAGES, RUN), "disk": "weights"}
    return _network_stage(name, about, work, **known | more)


def _measuring_stage(name: str, about: str, work: str, **more: object) -> Stage:
    """A stage that measures a run, in a folder below it."""
    files = {"log": "{id}/log.txt", "benchmark": "{id}/benchmark.tsv", "limits": "evaluate"}
    return _network_stage(name, about, work, parents=(IMAGES, RUN), **files, **more)


def _page_stage(name: str, about: str, kinds: str, version: int = 1) -> Stage:
    """A stage that makes a page, {name}.md and so on, from what other jobs measured."""
    files = {kind: f"{{name}}.{kind}" for kind in kinds.split()}
    known = {"log": "pages/{name}/log.txt", "parents": (MEASUREMENTS,), "page": True}
    return Stage(name, about, f"making a {name}", files, f"pages.{name}", version, **known)


_ALL = (
    # --- images
    _images_stage(
        "render",
        "render a pinhole set in the layout of a dataset",
        "rendering images",
        version=2,
        outputs={"images": "{folder}/rendered"},
    ),
    _images_stage(
        "manifest",
        "find, check, unpack and list a dataset's images",
        "listing images",
        version=2,
        outputs={"manifest": "{folder}/manifest.npz"},
    ),
    # --- networks
    _weights_stage(
        "pretrained",
        "fetch and check a network's published weights",
        "fetching weights",
        parents=(),
        uses_device=False,
    ),
    _weights_stage(
        "train",
        "train a network from scratch at one k_train",
        "training",
        version=2,
        outputs=TRAINED,
        parents=(IMAGES, START),
        trains=True,
        keeps=("decoded_gb",),
        cost="training",
        counted_as="trainings",
    ),
    _weights_stage(
        "match",
        "match a network's activations at one k_test",
        "matching distributions",
        trains=True,
        cost="matching",
    ),
    _weights_stage(
        "statistics",
        "estimate a batch-norm's statistics at one k_test",
        "estimating statistics",
        trains=True,
        limits="match",
        cost="statistics",
    ),
    _weights_stage(
        "finetune",
        "adapt a network's last layers to one k_test",
        "fine-tuning",
        version=2,
        trains=True,
        outputs=TRAINED,
        # Activations, or decoded images where crops change from epoch to epoch.
        keeps=("decoded_gb", "cache_gb"),
        cost="fine_tuning",
        counted_as="fine-tunings",
    ),
    # --- measurements
    _measuring_stage(
        "evaluate",
        "measure a network at one or several k_test",
        "evaluating",
        version=3,
        outputs=HITS,
        cost="evaluation",
        disk="predictions",
        counted_as="evaluations",
    ),
    _measuring_stage(
        "activations",
        "measure a network's activations at some k_test",
        "measuring activations",
        outputs=SAMPLES,
        cost="activations",
        disk="histograms",
    ),
    _network_stage(
        "time",
        "time a network's forward and backward passes",
        "timing",
        METRICS,
        entry="stages.timing",
        trains=True,
    ),
    _network_stage(
        "memory", "measure the peak memory of a step", "measuring memory", METRICS, limits="time"
    ),
    _network_stage(
        "speed",
        "time a network's forward pass at some k_test",
        "timing forward passes",
        METRICS,
        parents=(),
        limits="time",
    ),
    _network_stage(
        "sizes",
        "measure how large objects look under train and test DA",
        "measuring apparent sizes",
        SAMPLES,
        trains=True,
        **RUNS_NO_NETWORK,
    ),
    _network_stage(
        "crops",
        "cut the crops of one image that Figure 1 shows",
        "cutting crops",
        {"crops": "{id}/crops.npz"},
        trains=True,
        **RUNS_NO_NETWORK,
    ),
    # --- a custom network
    Stage(
        "choose",
        "choose where to test a custom network",
        "choosing",
        {"choice": "{id}/choice.json"},
        "pages.recommend.choose",
        version=2,
        parents=(MEASUREMENTS,),
    ),
    Stage(
        "export",
        "write the chosen network for other programs",
        "exporting",
        {"model": "{folder}/fixed/model.safetensors"},
        "stages.export",
        parents=(MEASUREMENTS,),
    ),
    Stage(
        "answer",
        "render what a custom network gains, and at what price",
        "answering",
        {kind: f"{{id}}.{kind}" for kind in ("md", "csv", "svg", "png", "html")},
        "pages.recommend.answer",
        version=2,
        parents=(MEASUREMENTS,),
        page=True,
    ),
    # --- pages, those over all others first
    Stage(
        "crate",
        "put pages, configuration and provenance into an RO-Crate to deposit",
        "making an RO-Crate",
        {"crate": "{name}"},
        "pages.crate",
        log="pages/{name}/log.txt",
        parents=(MEASUREMENTS,),
        page=True,
    ),
    _page_stage("report", "put all pages into one file to send to a colleague", "html", 2),
    _page_stage("claims", "decide the claims of the paper", "md csv comparisons.csv html", 5),
    _page_stage("text", "compute the numbers of the paper's text", "md csv html", 4),
    _page_stage("summary", "compare all tables with the paper's", "md html", 3),
    _page_stage("cost", "estimate what each page would cost", "md", 2),
    _page_stage("table", "render a table from the measured numbers", "md csv trends.csv html", 5),
    _page_stage("figure", "draw a figure from a table's numbers", "svg png csv", 6),
)
STAGES: dict[str, Stage] = {stage.name: stage for stage in _ALL}

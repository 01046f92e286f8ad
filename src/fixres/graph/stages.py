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
    entry: str  # the module (and :function) of fixres that runs it
    about: str  # what `fixres --help` says
    work: str  # what a run of it is called on pages, as "training"
    version: int  # raise it when a change of the code changes results: its jobs run again
    outputs: dict[str, str]  # name -> file
    log: str = "{id}/log.txt"
    benchmark: str = ""  # where Snakemake leaves the time; "": nowhere
    parents: tuple[str, ...] = ()  # IMAGES: its dataset's manifest; RUN: the run that it adapts or
    # measures; START: the run whose weights a training starts from; MEASUREMENTS: what it shows
    limits: str = ""  # key of hardware.hours and hardware.memory_gb; "": it runs beside Snakemake
    uses_device: bool = False  # whether it runs a network, and so has the options about devices
    keeps: tuple[str, ...] = ()  # of a training: keys of `hardware`, the memory for what it keeps
    fails_alone: bool = False  # whether its job leaves a mark when it fails (pages.allow_failed)
    cost: str = ""  # function of graph/costs.py that counts its multiply-adds; "": it has none
    disk: str = ""  # function of graph/costs.py that counts what it leaves on disk, in bytes
    counted_as: str = ""  # its column in results/plan.md
    page: bool = False  # whether it makes pages


def _network_stage(name: str, about: str, work: str, version: int, **more: object) -> Stage:
    """A stage whose job has a folder of its own and runs a network; `more` changes that."""
    known = {
        "entry": f"stages.{name}",
        "log": f"{{id}}/{name}.log",
        "benchmark": f"{{id}}/{name}.benchmark.tsv",
        "limits": name,
        "uses_device": True,
        "fails_alone": True,
    }
    return Stage(name=name, about=about, work=work, version=version, **{**known, **more})


def _measuring_stage(name: str, about: str, work: str, version: int, **more: object) -> Stage:
    """A stage that measures a run, in a folder below it."""
    files = {"log": "{id}/log.txt", "benchmark": "{id}/benchmark.tsv", "limits": "evaluate"}
    return _network_stage(name, about, work, version, parents=(IMAGES, RUN), **files, **more)


def _page_stage(name: str, entry: str, about: str, version: int, kinds: str, **more) -> Stage:
    """A stage that makes a page, {name}.md and so on, from what other jobs measured."""
    outputs = {kind.lstrip("."): f"{{name}}.{kind}" for kind in kinds.split()}
    known = {"log": "pages/{name}/log.txt", "parents": (MEASUREMENTS,), "page": True}
    return Stage(
        name=name,
        entry=f"pages.{entry}",
        about=about,
        work=f"making a {name}",
        version=version,
        outputs=outputs,
        **known,
        **more,
    )


WEIGHTS = {"weights": "{id}/weights.safetensors"}
TRAINED = WEIGHTS | {"curve": "{id}/log.csv"}
METRICS = {"metrics": "{id}/metrics.json"}
HITS = METRICS | {"hits": "{id}/hits.npz"}
SAMPLES = METRICS | {"samples": "{id}/samples.npz"}

_ALL = (
    # --- images
    Stage(
        "render",
        "stages.render",
        "render a pinhole set in the layout of a dataset",
        "rendering images",
        version=2,
        outputs={"images": "{folder}/rendered"},
        benchmark="{id}/benchmark.tsv",
        limits="render",
    ),
    Stage(
        "manifest",
        "stages.manifest",
        "find, check, unpack and list a dataset's images",
        "listing images",
        version=2,
        outputs={"manifest": "{folder}/manifest.npz"},
        benchmark="{id}/benchmark.tsv",
        limits="manifest",
    ),
    # --- networks
    _network_stage(
        "pretrained",
        "fetch and check a network's published weights",
        "fetching weights",
        1,
        outputs=WEIGHTS,
        uses_device=False,
        disk="weights",
    ),
    _network_stage(
        "train",
        "train a network from scratch at one k_train",
        "training",
        2,
        outputs=TRAINED,
        parents=(IMAGES, START),
        keeps=("decoded_gb",),
        cost="training",
        disk="weights",
        counted_as="trainings",
    ),
    _network_stage(
        "match",
        "match a network's activations at one k_test",
        "matching distributions",
        1,
        outputs=WEIGHTS,
        parents=(IMAGES, RUN),
        cost="matching",
        disk="weights",
    ),
    _network_stage(
        "statistics",
        "estimate a batch-norm's statistics at one k_test",
        "estimating statistics",
        1,
        outputs=WEIGHTS,
        parents=(IMAGES, RUN),
        limits="match",
        cost="statistics",
        disk="weights",
    ),
    _network_stage(
        "finetune",
        "adapt a network's last layers to one k_test",
        "fine-tuning",
        2,
        outputs=TRAINED,
        parents=(IMAGES, RUN),
        # Activations, or decoded images where crops change from epoch to epoch.
        keeps=("decoded_gb", "cache_gb"),
        cost="fine_tuning",
        disk="weights",
        counted_as="fine-tunings",
    ),
    # --- measurements
    _measuring_stage(
        "evaluate",
        "measure a network at one or several k_test",
        "evaluating",
        3,
        outputs=HITS,
        cost="evaluation",
        disk="predictions",
        counted_as="evaluations",
    ),
    _measuring_stage(
        "activations",
        "measure a network's activations at some k_test",
        "measuring activations",
        1,
        outputs=SAMPLES,
        cost="activations",
        disk="histograms",
    ),
    _network_stage(
        "time",
        "time a network's forward and backward passes",
        "timing",
        1,
        entry="stages.timing",
        outputs=METRICS,
        parents=(IMAGES,),
    ),
    _network_stage(
        "memory",
        "measure the peak memory of a step",
        "measuring memory",
        1,
        outputs=METRICS,
        parents=(IMAGES,),
        limits="time",
    ),
    _network_stage(
        "speed",
        "time a network's forward pass at some k_test",
        "timing forward passes",
        1,
        outputs=METRICS,
        limits="time",
    ),
    _network_stage(
        "sizes",
        "measure how large objects look under train and test DA",
        "measuring apparent sizes",
        1,
        outputs=SAMPLES,
        parents=(IMAGES,),
        limits="",
        uses_device=False,
    ),
    _network_stage(
        "crops",
        "cut the crops of one image that Figure 1 shows",
        "cutting crops",
        1,
        outputs={"crops": "{id}/crops.npz"},
        parents=(IMAGES,),
        limits="",
        uses_device=False,
    ),
    # --- a custom network
    Stage(
        "choose",
        "pages.recommend.choose",
        "choose where to test a custom network",
        "choosing",
        version=1,
        outputs={"choice": "{id}/choice.json"},
        parents=(MEASUREMENTS,),
    ),
    Stage(
        "export",
        "stages.export",
        "write the chosen network for other programs",
        "exporting",
        version=1,
        outputs={"model": "{folder}/fixed/model.safetensors"},
        parents=(MEASUREMENTS,),
    ),
    Stage(
        "answer",
        "pages.recommend.answer",
        "render what a custom network gains, and at what price",
        "answering",
        version=1,
        outputs={kind: f"{{id}}.{kind}" for kind in ("md", "csv", "svg", "png", "html")},
        parents=(MEASUREMENTS,),
        page=True,
    ),
    # --- pages, those over all others first
    _page_stage(
        "report", "report", "put all pages into one file to send to a colleague", 1, "html"
    ),
    _page_stage(
        "claims", "claims", "decide the claims of the paper", 2, "md csv comparisons.csv html"
    ),
    _page_stage("text", "text", "compute the numbers of the paper's text", 1, "md csv html"),
    _page_stage("summary", "summary", "compare all tables with the paper's", 2, "md html"),
    _page_stage("cost", "cost", "estimate what each page would cost", 1, "md"),
    _page_stage(
        "table", "table", "render a table from the measured numbers", 3, "md csv trends.csv html"
    ),
    _page_stage("figure", "figure", "draw a figure from a table's numbers", 4, "svg png csv"),
)
STAGES: dict[str, Stage] = {stage.name: stage for stage in _ALL}

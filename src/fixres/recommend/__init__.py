"""At which resolution to test your network, what fixing it would gain, and what it costs.

    fixres recommend --network timm:resnet50.a1_in1k --images ~/photos
    fixres recommend --network python:package.module:function --path ~/code \\
        --weights ~/weights.pth --classes ~/classes.txt --images ~/photos
    fixres recommend --network timm:resnet50.a1_in1k --images ~/val      # validation alone
    fixres recommend --network timm:resnet50.a1_in1k --images ~/val --labels ~/labels.csv
    fixres recommend --network timm:resnet18.a1_in1k --images ~/flowers --train

Give it in the suite's folder. It looks at the network and at the folder, tries how fast the
network is here, writes configs/recommend-NAME.yaml, shows the plan, and starts Snakemake. The
answer will be results/recommend/NAME.md and .html (docs/recommend.md). From then on Snakemake alone
does the same:

    snakemake results/recommend/NAME.md --configfile configs/recommend-NAME.yaml
"""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from fixres import config, jobs, paper
from fixres.config.custom import Custom
from fixres.config.datasets import Dataset
from fixres.config.recipes import FINE_TUNING, TRAINING, fitting
from fixres.data.sources import SOURCES
from fixres.graph.checks import expanded
from fixres.graph.classes import names_are_among
from fixres.graph.enough import check_listed_images
from fixres.graph.graph import JobGraph
from fixres.jobs import JobError
from fixres.jobs.quoting import visible
from fixres.recommend import words
from fixres.recommend.budget import fit, minutes_of, planned
from fixres.recommend.images import look_at_images, remarks
from fixres.recommend.trial import BATCH, PRECISION, threads, trial

AROUND = (6 / 7, 1, 8 / 7, 9 / 7, 10 / 7, 12 / 7)  # k_test over the native resolution
LONGEST = 60  # letters of a name that the command makes up
ASKED = "# fixres recommend "  # begins the line of a file that holds the question
SHARE_OF_MEMORY = 1 / 4  # of the machine's, for the activations that one fine-tuning keeps


def main(arguments: list[str]) -> None:
    words.check_text(arguments)
    args = _parser().parse_args(arguments)
    if not Path("Snakefile").is_file() or not Path("config.yaml").is_file():
        raise JobError(
            f"{Path.cwd()}: found no Snakefile and config.yaml; "
            "give this command in the suite's folder (git clone)"
        )
    jobs.check_suite(Path.cwd())
    jobs.check_folder(Path("results"))
    words.check(args)
    name = args.name or name_of(args.network, args.images)
    file = Path("configs", f"recommend-{name}.yaml")
    question = question_of(arguments, args.network)
    if not asked_before(file, question, name):
        write(file, question, configuration(name, args))
    plan = paper.plan_of(config.load("config.yaml", file))
    check_listed_images(plan)  # the file may have been edited, and images removed
    show_plan(plan)

    # --- the answer
    answer = f"results/recommend/{name}"
    command = ["snakemake", f"{answer}.md", "--configfile", str(file)]
    print(f"\nfrom now on: {' '.join(command)}")
    if args.plan:
        return
    print(f"the answer will be: {answer}.md, {answer}.html", flush=True)
    # Snakemake takes the place of this process. So whatever signal is sent here, Snakemake gets it,
    # waits for its jobs and leaves no lock behind; and this process holds no memory of a GPU.
    os.execv(sys.executable, [sys.executable, "-m", *command])


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    how = {"formatter_class": raw, "allow_abbrev": False}
    p = argparse.ArgumentParser("fixres recommend", description=__doc__, **how)
    option = p.add_argument
    network = (
        "timm:NAME[.TAG], timm:local-dir:FOLDER, timm:hf-hub:USER/NAME, "
        "torchvision:NAME[.WEIGHTS] or python:package.module:function"
    )
    option("--network", required=True, help=network)
    option("--images", required=True, help="folder with train/CLASS/* and val/CLASS/*, or CLASS/*")
    source = "the official release of a dataset in place of such a folder (docs/datasets.md)"
    option("--source", default="imagefolder", choices=SOURCES, help=source)
    option("--name", help="of the answer (default: the network's and the folder's)")
    option("--weights", default="pretrained", help="pretrained (default), none, or a file")
    option("--path", default="", help="folder in which python:package.module is found")
    given = "what the suite would find wrong, as classifier=head or 'last_norm=[bn2]'"
    option("--given", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=given)
    classes = "the network's classes in its order: imagenet; release, the order of the labels of "
    classes += "--source; or a file with one per line (default: the folder's, sorted)"
    option("--classes", help=classes)
    labels = "list of files and labels, of images without class folders (docs/recommend.md)"
    option("--labels", metavar="FILE", help=labels)
    split = "share of CLASS/* alone, or of --labels, that is for validation (default: 1, all)"
    option("--split", type=float, help=split)
    only = "measure the network on the validation images alone, and leave the others out"
    option("--only", choices=["val"], help=only)
    train = "the network does not know these classes: first train all of it on them"
    option("--train", action="store_true", help=train)
    option("--k-train", type=int, help="resolution of that training (default: native)")
    around = "test resolutions (default: 6 around)"
    option("--k-test", type=int, nargs="+", action="extend", help=around)
    option("--crop-pct", type=float, nargs="+", action="extend", help="default: 0.875 0.95 1.0")
    option("--budget", type=float, metavar="MINUTES", help="thin out what does not fit")
    option("--plan", action="store_true", help="write the configuration, and stop there")
    return p


# --- the network ---------------------------------------------------------------------------------


def look_at_network(args: argparse.Namespace) -> dict:
    """What the suite finds in the network, as the key custom.network of the configuration."""
    from fixres.models import custom

    given = words.read_given(args.given, custom.KEYS)
    words.check_room("--given native", 1, 2 * given.get("native", 1), "cpu")
    where = (expanded(args.weights), expanded(args.path))
    found = custom.find(expanded(args.network), *where, given, headless=args.train)
    print("\n".join(map(visible, custom.described(found))), flush=True)
    # Paths as they were given; weights next to a network's configuration as they were found.
    weights = found.weights if args.weights == "pretrained" else args.weights
    return found.model_dump() | {"weights": weights, "path": args.path}


def classes_beside(args: argparse.Namespace) -> str | None:
    """The configuration next to a network, if it lists classes that the folders are named by."""
    from fixres.models.kept import config_file

    if args.train or not (file := config_file(expanded(args.network))):
        return None
    split = {"split": args.split} if args.split else {}
    dataset = Dataset(source=args.source, root=str(Path(expanded(args.images))), **split)
    if not names_are_among(dataset, str(file)):
        return None
    print(f"classes: in the order of {file}")
    return str(file)


# --- the configuration ---------------------------------------------------------------------------


def name_of(network: str, images: str) -> str:
    """A name for the answer, such as resnet50-photos."""
    own = network.split(":")[-1].rstrip("/").split("/")[-1].split(".")[0]
    parts = (own, Path(expanded(images)).resolve().name)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", "-".join(parts)).strip("-_")
    return name[:LONGEST] or "mine"


def configuration(name: str, args: argparse.Namespace) -> dict:
    """The content of configs/recommend-NAME.yaml: every key that matters, to be edited."""
    network = look_at_network(args)
    args.classes = args.classes or classes_beside(args)
    dataset, sizes = look_at_images(args, network["outputs"])
    content = keys(name, args, network, dataset)
    for recipe in ("fine_tuning", "base_training"):
        if recipe in content:
            size = content[recipe]["batch_size"]
            content[recipe]["batch_size"] = fitting(size, sizes[0])
    check_listed_images(planned(content))  # whatever is wrong, before anything takes time
    content["hardware"]["multiply_adds_per_second"] = trial(content["custom"])
    fit(content, sizes, args.budget)
    return content


def keys(name: str, args: argparse.Namespace, network: dict, dataset: dict) -> dict:
    """The configuration before anything is left out of it."""
    n, stride = network["native"], network["stride"]
    around = sorted({max(round(n * x / stride), 1) * stride for x in AROUND})
    sizes = args.k_test or (around if network["any_size"] else [n])
    all_threads = {f"{stage}_threads": threads() for stage in ("train", "finetune", "evaluate")}
    return {
        "scale": "custom",
        "resolution_divisor": 1,
        "twins": False,
        "dataset": name,
        "datasets": {name: dataset},
        "custom": {
            "name": name,
            "network": network,
            "train": args.train,
            "k_train": args.k_train,
            "k_test": sizes,
            "crop_pct": args.crop_pct or [0.875, 0.95, 1.0],
            "batch": BATCH,
        },
        **({"fine_tuning": dict(FINE_TUNING)} if Dataset(**dataset).has_training_images else {}),
        **({"base_training": dict(TRAINING)} if args.train else {}),
        # Other programs compute in float32 and cut crops as Pillow does: so they get the same
        # accuracy to the last image.
        "hardware": {
            "precision": PRECISION,
            "loader": "pillow",
            **all_threads,
            "cache_gb": cache_gb(),
        },
    }


def cache_gb() -> float:
    """Memory for the activations of one fine-tuning, in GB: a share of this machine's, at least 1.

    With all of them in memory, the trunk runs once and not in every epoch.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(round(SHARE_OF_MEMORY * memory / 1e9, 1), 1.0)


def question_of(arguments: list[str], network: str) -> str:
    """The question as one line. A changed config.json next to the network is another question."""
    question = shlex.join(word for word in arguments if word != "--plan")
    folder = expanded(network).removeprefix("timm:local-dir:")
    file = Path(folder, "config.json")
    is_beside = network.startswith("timm:local-dir:") and file.is_file()
    return f"{question} # {jobs.file_digest(file)[:12]}" if is_beside else question


def asked_before(file: Path, question: str, name: str) -> bool:
    """Whether the file is the answer to the same question, perhaps edited since.

    Raises
    ------
    JobError : it is another configuration.
    """
    if not file.is_file():
        return False
    if ASKED + question in file.read_text(encoding="utf-8", errors="replace").splitlines():
        print(f"goes on with {file}")
        return True
    raise JobError(
        f"{file}: holds another configuration. Remove it, or give another --name. To continue "
        f"with it: snakemake results/recommend/{name}.md --configfile {file}"
    )


def write(file: Path, question: str, content: dict) -> None:
    """Write the configuration, and the question above it."""
    head = (
        f"# yaml-language-server: $schema=schema.json\n{ASKED}{question}\n"
        "# docs/recommend.md tells what the keys mean. Edit them; the same command goes on.\n\n"
    )
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)
    with jobs.atomic(file) as temporary:
        temporary.write_text(head + text, encoding="utf-8")


def show_plan(plan: JobGraph) -> None:
    """What will be measured, and about how long it takes."""
    custom, [answer] = plan.config.custom, plan.of_stage("answer")
    minutes = max(minutes_of(plan), 1)
    ratios = ", ".join(f"{c:g}" for c in custom.ratios)
    print(
        f"plan: k_test {', '.join(map(str, custom.k_tests))}; crop_pct {ratios}; "
        f"{len(answer.ancestors)} jobs, about {minutes:.0f} min"
    )
    for remark in [*off_stride(custom), *remarks(plan)]:
        print(f"note: {remark}")


def off_stride(custom: Custom) -> Iterator[str]:
    """What to know of test resolutions that are not multiples of the network's stride."""
    if sizes := custom.off_stride:
        of_its_own = " (the network's own)" if custom.native in sizes else ""
        yield (
            f"k_test {', '.join(map(str, sizes))}{of_its_own}: no multiple of the network's "
            f"stride, {custom.network.stride}. Just above a multiple accuracy drops "
            "(Appendix B)"
        )

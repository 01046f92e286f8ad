"""What `fixres recommend` saves: one decode for all settings, one trunk for all adaptations.

    .venv/bin/python benchmarks/recommend.py FOLDER [--network NAME] [--images N] [--k-test K ...]

FOLDER has train/CLASS/* and val/CLASS/*, photographs. N images of each are used (default: 200). The
network is timm's, with random weights (default: tf_efficientnet_lite0).

1. Validation images alone: one evaluation of all k_test at two crop_pct, beside timm's loader and
   model once a setting. Processor seconds of one thread, peak memory, and how many images both
   classify alike.
2. At the first k_test: fine-tuning of classifier and norm, statistics, fine-tuning of the
   classifier, and their evaluations, once in one folder, where they share the trunk, and once each
   in a folder of its own. Processor seconds, start-up included.

ROUNDS rounds alternate; the least of each is shown.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import timm
import torch
from tabulate import tabulate

from fixres.artifacts import weights
from fixres.data import building
from fixres.models import custom

ROUNDS, CROP_PCT = 3, (0.875, 1.0)
K_TEST = [192, 224, 256, 288, 320, 384]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
HOW = ("--threads", "1", "--precision", "fp32", "--loader", "pillow")
# Run by a process of its own: python -c TIMM NETWORK WEIGHTS MANIFEST OUT K_TEST ...
TIMM = f"""
import json, sys
import timm, torch
from fixres.artifacts import weights
from fixres.data.image_files import load, to_rgb
from timm.data import create_transform
name, file, listed, out, *sizes = sys.argv[1:]
data, found = manifest.load(listed), {{}}
rows = data.rows("val")
network = timm.create_model(name, num_classes=len(data.classes)).eval()
network.load_state_dict(weights.load(__import__("pathlib").Path(file))[0])
torch.set_num_threads(1)
normal = {{k: network.default_cfg[k] for k in ("mean", "std")}}
for k in map(int, sizes):
    for ratio in {CROP_PCT}:
        cut = create_transform((3, k, k), interpolation="bilinear", crop_pct=ratio, **normal)
        top = []
        for start in range(0, len(rows), 32):
            files = data.files(rows[start : start + 32])
            x = torch.stack([cut(to_rgb(load(open(f, "rb").read()))) for f in files])
            with torch.no_grad():
                top += network(x).argmax(1).tolist()
        found[f"k{{k}}@{{ratio:g}}"] = top
json.dump(found, open(out, "w"))
"""


class Spent:
    """What some processes took."""

    def __init__(self):
        self.seconds, self.megabytes = 0.0, 0.0

    def run(self, *words: object) -> None:
        """Run a command to its end. Adds its processor seconds; keeps the largest peak."""
        process = subprocess.Popen(
            [str(word) for word in words], env=ENVIRONMENT, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"failed; run it by hand: {' '.join(map(str, words))}")
        self.seconds += usage.ru_utime + usage.ru_stime
        self.megabytes = max(self.megabytes, usage.ru_maxrss / 1000)


class Plan:
    """The jobs of a network on some images, in folders below `root`."""

    def __init__(self, root: Path, data: Path, start: Path, network: dict):
        self.root, self.data, self.start, self.network = root, data, start, network

    def job(self, folder: Path, config: dict) -> None:
        """Plan a job in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        about = {"version": 1, "run": "runs/x", "network": "x", "entry": self.network, "seed": 0}
        (folder / "config.json").write_text(json.dumps(about | config))

    def run(self, spent: Spent, folder: Path, start: Path, out: str, *more: str) -> None:
        """Run the job of a folder."""
        stage = json.loads((folder / "config.json").read_text())["stage"]
        words = [sys.executable, "-m", "fixres", stage, "--config", folder / "config.json"]
        words += ["--manifest", self.data, "--weights", start, "--out", folder / out]
        spent.run(*words, *HOW, *more)

    def evaluate(self, spent: Spent, run: Path, start: Path, sizes: list[int]) -> Path:
        """Evaluate the weights `start` of a run. Returns the folder."""
        folder = run / "evaluation"
        self.job(folder, evaluation(sizes))
        self.run(spent, folder, start, "metrics.json")
        return folder


def evaluation(sizes: list[int]) -> dict:
    """The configuration of an evaluation."""
    cut = {"crop_pct": list(CROP_PCT), "test_resize": "paper"}
    return {"stage": "evaluate", "k_test": sorted(sizes), "folds": 2, **cut}


# --- validation images alone ----------------------------------------------------------------------


def validation(plan: Plan, name: str, sizes: list[int], folder: Path) -> list[list]:
    """Rows: ours, timm's; the ratio; how many images are classified alike."""
    import numpy as np

    ours, others = [], []
    for turn in range(ROUNDS):
        spent = Spent()
        measured = plan.evaluate(spent, folder / f"{turn}", plan.start, sizes)
        ours.append(spent)
        spent, out = Spent(), folder / "timm.json"
        spent.run(sys.executable, "-c", TIMM, name, plan.start, plan.data, out, *sizes)
        others.append(spent)
    alike = total = 0
    for setting, top in json.loads(out.read_text()).items():
        said = np.load(measured / "predictions" / f"{setting}.npz")["top"][:, 0]
        alike, total = alike + int((said == np.array(top)).sum()), total + len(top)
    ours, others = (min(found, key=lambda s: s.seconds) for found in (ours, others))
    return [
        ["one evaluation", ours.seconds, ours.megabytes, f"{alike} of {total} as timm"],
        ["timm, once a setting", others.seconds, others.megabytes, ""],
        ["ratio", others.seconds / ours.seconds, None, ""],
    ]


# --- adaptations at one k_test -------------------------------------------------------------------


def adaptations(plan: Plan, k: int, folder: Path, images: int) -> list[list]:
    """Rows: the adaptations at one k_test, sharing a trunk and each alone; the ratio."""
    seconds: dict[str, list[float]] = {"sharing": [], "each alone": []}
    for turn in range(ROUNDS):
        for how, found in seconds.items():
            found.append(adapted(plan, k, folder / f"{how} {turn}", how == "sharing", images))
    together, alone = (min(found) for found in seconds.values())
    return [
        ["adaptations that share", together, None, f"k_test {k}"],
        ["each alone", alone, None, ""],
        ["ratio", alone / together, None, ""],
    ]


def adapted(plan: Plan, k: int, folder: Path, sharing: bool, images: int) -> float:
    """Processor seconds of the three adaptations with their evaluations, and the base's."""
    recipe = {"epochs": 20, "batch_size": min(64, images // 2), "micro_batch": 64, "lr": 0.001}
    recipe |= {"schedule": "cosine", "lr_step": 30, "warmup": 0.0, "momentum": 0.9}
    recipe |= {"nesterov": True, "weight_decay": 1e-4, "label_smoothing": 0.0, "images": None}
    recipe |= {"batch_norm": "affine+statistics"}
    tune = {"stage": "finetune", "version": 2, "recipe": recipe, "k_test": k}
    tune |= {"augmentation": {"name": "test DA", "crop_pct": CROP_PCT[0]}}
    planned = {
        "both": tune | {"layers": ["batch-norm", "classifier"]},
        "statistics": {"stage": "statistics", "k_test": k, "images": None}
        | {"crop_pct": CROP_PCT[0]},
        "cls": tune | {"layers": ["classifier"]},
    }
    spent = Spent()
    for name, config in planned.items():
        base = folder if sharing else folder / f"of {name}"
        plan.job(base / name, config)
        plan.job(base / name / "evaluation", evaluation([k]))
        plan.job(base / "evaluation", evaluation([k]))
        (base / "weights.safetensors").unlink(missing_ok=True)
        os.link(plan.start, base / "weights.safetensors")
    for name, config in planned.items():
        base = folder if sharing else folder / f"of {name}"
        more = ("--predict",) if config["stage"] == "finetune" else ()
        plan.run(spent, base / name, base / "weights.safetensors", "weights.safetensors", *more)
        plan.evaluate(spent, base / name, base / name / "weights.safetensors", [k])
    return spent.seconds


def some(folder: Path, to: Path, images: int) -> Path:
    """Copy so many images of each part, evenly of its classes."""
    for part in ("train", "val"):
        files = sorted(file for file in (folder / part).glob("*/*") if file.is_file())
        evenly = range(min(images, len(files)))
        for file in (files[i * len(files) // len(evenly)] for i in evenly):
            copy = to / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
    return to


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("folder", type=Path)
    p.add_argument("--network", default="tf_efficientnet_lite0")
    p.add_argument("--images", type=int, default=200)
    p.add_argument("--k-test", type=int, nargs="+", default=K_TEST)
    args = p.parse_args()
    started = time.strftime("%Y-%m-%d %H:%M")
    with tempfile.TemporaryDirectory(dir=args.folder.parent) as temporary:
        folder = Path(temporary)
        data = building.build(some(args.folder, folder / "images", args.images))
        data.save(folder / "manifest.npz")
        torch.manual_seed(0)
        classes = len(data.classes)
        network = timm.create_model(args.network, num_classes=classes)
        weights.save(folder / "start.safetensors", network.state_dict(), {"run": "runs/x"})
        found = custom.find(f"timm:{args.network}", str(folder / "start.safetensors"), "", {})
        entry = found.model_dump() | {"weights": "none", "title": ""}
        plan = Plan(folder, folder / "manifest.npz", folder / "start.safetensors", entry)
        rows = validation(plan, args.network, args.k_test, folder / "val")
        rows += adaptations(plan, args.k_test[0], folder / "fix", len(data.rows("train")))
    print(f"{args.network}, {args.images} images a part, k_test {args.k_test}; {started}")
    print(tabulate(rows, ["", "processor s", "peak MB", ""], floatfmt=(None, ".2f", ".0f")))


if __name__ == "__main__":
    main()

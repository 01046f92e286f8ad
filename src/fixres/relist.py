"""Check the folders of your images for changes, and list the images again where any changed.

    python -m fixres relist                                       # all datasets of config.yaml
    python -m fixres relist imagenet --configfile configs/imagenet.yaml --threads 16
    python -m fixres relist --look                                # only look

Snakemake lists the images of a dataset once, and does not notice images that are added or removed
later. This command compares the names, sizes and dates of the files with the list. If nothing
differs, it does nothing.

If something differs, all images are checked and listed again. If their content is the same (copied
again, for example), the manifest stays. Otherwise a new manifest replaces the old one, and the next
snakemake command remakes the requested results that depend on these images. Until then, all results
stay as they are. If the check fails, the old manifest stays, too.

Exit code: 1 if a folder cannot be listed, else 0.
"""

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from fixres import config, jobs, paper
from fixres.artifacts import manifest
from fixres.data import inventory
from fixres.graph.checks import expanded
from fixres.graph.graph import JobGraph
from fixres.graph.stages import IMAGES, STAGES
from fixres.jobs import JobError, sealing
from fixres.jobs.quoting import visible
from fixres.nearest import did_you_mean
from fixres.stages import manifest as stage

RESULTS = Path("results")
LOCKS = Path(".snakemake/locks")  # Snakemake's own, while it runs
NOT_OF_IMAGES = [name for name, stage in STAGES.items() if IMAGES not in stage.parents]
SHOWN = 3  # names to print, if there are many
RENDERED = "rendered by the suite; no folder to look at"


def main(arguments: list[str]) -> None:
    p = argparse.ArgumentParser(
        prog="python -m fixres relist",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("dataset", nargs="*", help="entries of `datasets` (default: all)")
    about = "configuration files, merged into config.yaml, as with snakemake"
    p.add_argument("--configfile", type=Path, nargs="+", action="extend", default=[], help=about)
    p.add_argument("--look", action="store_true", help="only report changes; change nothing")
    about = "list the images again even if nothing differs"
    p.add_argument("--force", action="store_true", help=about)
    about = "processor threads that check images (default: all)"
    p.add_argument("--threads", type=int, default=os.cpu_count(), help=about)
    args = p.parse_args(arguments)
    jobs.check_folder(RESULTS)
    if not Path("config.yaml").is_file():
        raise JobError(f"{Path.cwd()}: no config.yaml. Run this command in the suite's folder.")
    # Snakemake also merges its --configfile into config.yaml.
    plan = paper.plan_of(config.load("config.yaml", *args.configfile))
    known = plan.config.datasets
    if args.threads < 1:
        raise JobError(f"--threads: too small (got {args.threads}, expected 1 or more).")
    for name in args.dataset:
        if name not in known:
            hint = did_you_mean(name, known) or f"Choose one of {', '.join(known)}."
            raise JobError(f"{name}: not an entry of datasets. {hint}")
    problems = []
    for name in args.dataset or known:
        try:
            lines = [_relist(plan, name, args)] if not known[name].rendered else [RENDERED]
        except JobError as error:
            problems.append(name)
            lines = [str(error), "the manifest stays as it was"]
        print(f"{name}: " + "\n  ".join("\n".join(lines).splitlines()), flush=True)
    if problems:
        raise JobError(f"{', '.join(problems)}: not listed again. See the errors above.")


def _relist(plan: JobGraph, name: str, args: argparse.Namespace) -> str:
    """Check one dataset, list it again if needed, and return what happened.

    Raises
    ------
    JobError : its folder is missing, its images cannot be listed, or Snakemake is running.
    """
    file, job = RESULTS / "data" / name / "manifest.npz", f"data/{name}/manifest"
    root = Path(expanded(plan.config.datasets[name].root))
    if not file.is_file():
        there = "" if root.is_dir() else f" (its folder {root} is missing)"
        return f"not listed yet{there}; the next snakemake command that needs it will list it"
    if not root.is_dir():
        raise JobError(f"datasets.{name}.root: not a folder (got {root}). Correct the path.")
    settings = jobs.read_config(RESULTS / job / "config.json", "manifest")
    if job in plan.jobs and settings != plan.resolved(job):
        return "its settings changed; the next snakemake command lists it again by itself"
    old = manifest.read(file)  # not recorded as an input, because it may be replaced below
    kept = file.with_name(inventory.NAME)
    now = stage.look(settings, root)
    found = _found(inventory.load(kept, old.digest()), now)
    if args.look or not (found or args.force):
        return found or f"nothing changed ({len(now.path)} files)"
    if LOCKS.is_dir() and any(LOCKS.iterdir()):
        raise JobError(
            f"{LOCKS.absolute()}: Snakemake is running in this folder. Wait until it ends, or run "
            "`snakemake --unlock` if it was killed."
        )
    new = stage.build(settings, root, file, args.threads)
    same = new.digest() == old.digest()
    if not same:
        new.save(file)
        sealing.renew(file, same=False)
    elif new.folder != old.folder:  # the same images in another folder, on which no result depends
        date = file.stat().st_mtime_ns
        replace(old, folder=new.folder).save(file)
        sealing.renew(file, same=True)
        os.utime(file, ns=(date, date))
    inventory.save(kept, now, new.digest())
    found = found or "no change of names, sizes or dates"
    outcome = ["the same images as before, so nothing runs again"] if same else _outcome(plan, name)
    return "\n".join([found, *outcome])


def _found(then: inventory.Inventory | None, now: inventory.Inventory) -> str:
    """What has changed since the images were listed, in words; "" if nothing."""
    if then is None:
        return "no record of the files from when they were listed"
    difference = inventory.compare(then, now)._asdict()
    return "; ".join(
        f"{len(files):,} {what} ({_some(files)})" for what, files in difference.items() if files
    )


def _outcome(plan: JobGraph, name: str) -> list[str]:
    """The consequences of a new manifest, in words."""
    results = _results(plan, name)
    lines = [f"the images changed: {RESULTS / 'data' / name / 'manifest.npz'} is new"]
    if results:
        kinds = Counter("weights" if r.endswith(".safetensors") else "numbers" for r in results)
        what = " and ".join(f"{n} files of {kind}" for kind, n in sorted(kinds.items()))
        lines.append(f"made from the old images: {what} ({_some(results)})")
        lines.append("the next snakemake command remakes the results that it needs; to keep the")
        lines.append("old ones, copy the folder results/ first")
    return lines


def _results(plan: JobGraph, name: str) -> list[str]:
    """The results on disk that depend on the images of a dataset, as files below results/.

    These are the runs on this dataset, of any configuration, and the runs of this configuration
    that start from one of them.
    """
    files = {
        str(file.relative_to(RESULTS))
        for folder in (RESULTS / "runs" / name, RESULTS / "timing" / name)
        for kind in ("weights.safetensors", "metrics.json")
        for file in folder.rglob(kind)
        if _stage_of(file) not in NOT_OF_IMAGES
    }
    for job in plan.jobs.values():
        if any(f"data/{name}/manifest" == one.id for one in job.ancestors):
            known = {file for key, file in job.outputs.items() if key in ("weights", "metrics")}
            files |= {file for file in known if (RESULTS / file).is_file()}
    return sorted(files)


def _stage_of(file: Path) -> str:
    """The stage that wrote a file, from the config.json in its folder; "" if unreadable."""
    try:
        return json.loads((file.parent / "config.json").read_text(encoding="utf-8"))["stage"]
    except (OSError, ValueError, KeyError):
        return ""


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(map(visible, names[:SHOWN])) + (", …" if len(names) > SHOWN else "")

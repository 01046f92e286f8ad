"""Build the manifest of a dataset: find, check, unpack and list its images.

    python -m fixres manifest --config results/data/pinhole/manifest/config.json \
        --root results/data/pinhole/images --out results/data/pinhole/manifest.npz

`report.md` beside the manifest lists everything remarkable.
"""

from pathlib import Path

from fixres import jobs
from fixres.data import manifest


def main(arguments: list[str]) -> None:
    p = jobs.parser("manifest", __doc__, "out")
    p.add_argument(
        "--root",
        type=Path,
        required=True,
        help="the dataset's folder: its archives or its unpacked files (only read)",
    )
    args = p.parse_args(arguments)
    config = jobs.read_config(args.config, "manifest", args.ancestry_digest)
    data = manifest.build(
        args.root,
        config["source"],
        work=args.out.parent / "unpacked",
        on_bad=config["on_bad"],
        checksums=config["checksums"],
        processes=args.threads,
        report=args.out.parent / "report.md",
        key=f"datasets.{args.out.absolute().parent.name}.root",
    )
    data.save(args.out)
    for line in (*manifest.summary(data), *data.notes):
        jobs.log(line)

"""Published weights of a network: fetched, checked key by key, and kept as safetensors (§5.1, Tables 1 to 3 start from them).

    python -m fixres pretrained --config results/runs/imagenet/resnet50-pretrained/config.json \\
        --out results/runs/imagenet/resnet50-pretrained/weights.safetensors

They come from timm, torchvision, torch hub, a URL with its checksum, or a file; docs/networks.md says how each is written. A download
that breaks off is carried on by the same command.
"""

from fixres import jobs
from fixres.models import published, weights, zoo


def main(arguments: list[str]) -> None:
    args = jobs.parser("pretrained", __doc__, "out", threads=False).parse_args(arguments)
    config = jobs.read_config(args.config, "pretrained", args.ancestry_digest)
    name, source = config["network"], config["source"]
    entry, folder = zoo.ZOO[name], args.out.parent / "downloads"
    kind = next(iter(source))
    jobs.log(f"{config['run']}: {entry.title}, weights from {kind} {source[kind]}")
    if entry.licence == zoo.NON_COMMERCIAL:
        jobs.log(
            f"licence: the published weights of {entry.title} are for non-commercial use only (CC BY-NC 4.0)"
        )
    try:
        fetched = published.fetch(
            source, folder, f"get the weights elsewhere and name the file in weights.{name}.file"
        )
    finally:
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
    network = zoo.outline(name, config["classes"])
    tensors = published.fitted(fetched, network)
    licence = (
        entry.licence if source == entry.source else None
    )  # of a file, only its giver knows it
    meta = {"run": config["run"], "source": source, "licence": licence, "sha256": fetched.sha256}
    weights.save(args.out, tensors, meta)
    n = sum(p.numel() for p in network.parameters())
    jobs.log(
        f"{n:,} parameters in {args.out}; licence: {licence or 'as the giver of the file states'}"
    )

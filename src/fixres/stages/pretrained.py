"""Published weights: fetched, checked key by key, and kept as safetensors.

Tables 1 to 3 start from such weights (§5.1). They come from timm, torchvision, torch hub, a URL
with its checksum, or a file; docs/networks.md says how to write each. The same command carries on
a download that broke off. A custom network says where it is built, and whether its weights
come from there or from a file (docs/recommend.md).
"""

from fixres import jobs
from fixres.artifacts import weights
from fixres.models import construct, published
from fixres.models.catalogue import zoo
from fixres.models.catalogue.network import NON_COMMERCIAL
from fixres.models.catalogue.released import RELEASED


def main(arguments: list[str]) -> None:
    args = jobs.parser("pretrained", __doc__, "out", threads=False).parse_args(arguments)
    config = jobs.read_config(args.config, "pretrained", args.ancestry_digest)
    name, source = config["network"], config["source"]
    entry, folder = zoo.entry_of(config), args.out.parent / "downloads"
    if "custom" in source:
        source = construct.weights_of(config["entry"], source.get("sha256"))
    kind = next(iter(source))
    jobs.log(f"{config['run']}: {entry.title}, weights from {kind} {source[kind]}")
    if entry.licence == NON_COMMERCIAL:
        what = f"the published weights of {entry.title}"
        jobs.log(f"licence: {what} are for non-commercial use only (CC BY-NC 4.0)")

    network = construct.outline(entry, config["classes"])
    construct.check_layers(entry, network)

    # --- fetch
    asked = config["run"].rpartition("/")[2].removesuffix("-pretrained")
    key = f"released.files.{asked}" if asked in RELEASED else f"networks.{name}.weights.file"
    key = "custom.network.weights" if "entry" in config else key
    way_out = f"Get the weights elsewhere and name the file in {key}."
    try:
        fetched = published.fetch(source, folder, way_out)
    finally:
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()

    # --- check
    headless = config.get("headless", False)
    tensors = published.fitted(fetched, network, entry.classifiers, headless)

    # --- keep
    # The zoo knows only the licence of the weights that it names.
    licence = entry.licence if source == entry.source else None
    meta = {"run": config["run"], "source": source, "licence": licence, "sha256": fetched.sha256}
    weights.save(args.out, tensors, meta)
    n = sum(p.numel() for p in network.parameters())
    stated = licence or "as the giver of the file states"
    jobs.log(f"{n:,} parameters in {args.out}; licence: {stated}")

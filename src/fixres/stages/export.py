"""The network that was chosen, as other programs load it (docs/recommend.md)."""

from pathlib import Path

from fixres import jobs
from fixres.artifacts import choice, manifest
from fixres.graph.pages import Recommendation
from fixres.models import export, matching
from fixres.models.catalogue import zoo


def main(arguments: list[str]) -> None:
    p = jobs.parser("export", __doc__, "manifest", "out", threads=False)
    p.add_argument("--choice", type=Path, required=True, help="what `choose` has left")
    p.add_argument("--results", type=Path, required=True, help="the folder with the runs' weights")
    args = p.parse_args(arguments)
    custom = Recommendation.read(args.config, "export", args.ancestry_digest)
    chosen = choice.read(args.choice).exported
    data = manifest.load(args.manifest)

    file = args.results / chosen.run / "weights.safetensors"
    network = zoo.entry_of({"network": custom.network, "entry": custom.entry})
    network = matching.load(network, len(data.classes), 0, file)
    export.export(args.out.parent, network, custom.entry, data.classes, chosen.model_dump())
    jobs.log(f"{chosen.run}: {args.out.parent}")

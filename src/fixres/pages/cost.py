"""What each page would cost before anything expensive starts: jobs, device hours, disk.

`graph/costs.py` counts; this page shows it, and says what the numbers rest on.
"""

import math
from collections import Counter

from fixres.graph.costs import GB, Costs
from fixres.graph.pages import Cost
from fixres.graph.stages import STAGES
from fixres.pages import command
from fixres.pages.lists import pipe

WORK = [stage.counted_as for stage in STAGES.values() if stage.counted_as]
LONGEST = 10  # jobs that are listed one by one
UNCOUNTED = (
    "Images of {}: unknown, because {} has no images below train/ and val/ that can be counted. "
    "These numbers do not include the work on these images."
)


def main(arguments: list[str]) -> None:
    plan, args = command.read(arguments, "cost", __doc__, Cost)
    command.write(args.out, {args.out.suffix: page(plan, Costs(plan, args.results))})


def page(plan: Cost, costs: Costs) -> str:
    """Markdown: a line for each page, one for all together, the longest jobs, the assumptions."""
    everything = sorted(set().union(*plan.pages.values()))
    pages = sorted(plan.pages.items(), key=lambda x: (not x[0].startswith("table"), x[0]))
    lines = [line(name, needed, costs) for name, needed in [*pages, ("all together", everything)]]
    heads = ["page", "jobs", "done", *WORK, "device hours to go", "disk (GB)"]
    shared = "Jobs that several pages need are counted for each of them, and once in the last row."
    parts = [
        "# What it costs",
        f"The plan of the {plan.scale} scale. {shared}",
        pipe(heads, lines, 1),
        "**The longest jobs to go**",
        longest(everything, costs),
        *caches(everything, costs),
        "\n".join(f"- {remark}" for remark in remarks(plan, costs)),
    ]
    return "\n\n".join(parts) + "\n"


def line(name: str, needed: list[str], costs: Costs) -> list[str]:
    """A line of the table: a page, and what its jobs come to. needed : their ids."""
    work = Counter(costs.stage(job).counted_as for job in needed)
    done = sum(job in costs.done for job in needed)
    counts = [len(needed), done, *(work[kind] for kind in WORK)]
    to_go = hours(sum(costs.seconds(job) for job in needed))
    disk = sum(costs.bytes(job) for job in needed) / GB
    return [name, *map(str, counts), to_go, f"{disk:.1f}"]


def longest(everything: list[str], costs: Costs) -> str:
    """The jobs that take longest, as a table."""
    to_go = {name: seconds for name in everything if (seconds := costs.seconds(name))}
    names = sorted(to_go, key=lambda name: (-to_go[name], name))[:LONGEST]
    if not names:
        return "None."
    rates = {True: "measured", False: "estimated"}
    rows = [[f"`{n}`", hours(to_go[n]), rates[costs.is_measured(n)]] for n in names]
    return pipe(["job", "device hours", "rate"], rows)


def caches(everything: list[str], costs: Costs) -> list[str]:
    """What more memory for activations would save: a title and a table.

    Nothing where all that could be kept is kept. The first line is the configured cache_gb. Each
    next line has twice as much, and is left out where that changes nothing.
    """
    needs = [need for name in everything if (need := costs.cache_needed(name))]
    given = costs.plan.cache_gb
    if max(needs, default=0) <= given:
        return []
    last = max(1, math.ceil(math.log2(max(needs) / max(given, 1))))
    rows: list[list[str]] = []
    for size in (given, *(max(given, 1) * 2**i for i in range(1, last + 1))):
        kept = f"{sum(need <= size for need in needs)} of {len(needs)}"
        if not rows or rows[-1][1] != kept:
            to_go = sum(costs.seconds(name, size) for name in everything)
            rows.append([f"{size:g}", kept, hours(to_go)])
    heads = ["cache_gb", "trunks that run once", "device hours to go"]
    return ["**Memory for the activations of a fine-tuning**", pipe(heads, rows, 0)]


def remarks(plan: Cost, costs: Costs) -> list[str]:
    """What the numbers rest on."""
    measured = [f"{stage} of {network}" for stage, network in sorted(costs.measured, key=str)]
    unknown = [name for name, size in costs.sizes.items() if size is None]
    return [
        *(UNCOUNTED.format(name, plan.datasets[name].folder) for name in unknown),
        f"Rates measured by finished jobs: {', '.join(measured) or 'none yet'}.",
        f"All others are estimated from {costs.reference.about}, in proportion to the "
        "multiply-adds of network, resolution and images; a backward pass counts as two forward "
        "passes. Small crops and small networks use a device less efficiently.",
        "A fine-tuning with test DA whose activations fit hardware.cache_gb "
        f"({plan.cache_gb:g}, shared by its processes) runs its trunk once instead of every "
        "epoch. The same holds if the activations fit the GPU's memory, which is not counted here.",
        "Decoding is not counted, so a device that computes faster than its processors decode "
        "will wait for them.",
        "Disk: weights and predictions that stay. While it runs, a training also keeps two "
        "checkpoints of twice its weights. Archives unpack to about their own size (ImageNet 2012: "
        "155 GB); rendered sets are small.",
    ]


def hours(seconds: float) -> str:
    """Hours with three digits: minutes of the embedded scale and weeks of ImageNet both read."""
    value = seconds / 3600
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

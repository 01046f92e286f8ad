# The plan behind every rule, and the rule that writes what a job may know of the configuration.

SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))

import fixres.workflow

fixres.workflow.use_this_python(SOURCE)
plan = fixres.workflow.open_plan(list(reversed(workflow.configfiles)), config)
hardware = plan.config.hardware


wildcard_constraints:
    job=r"(data|runs|pages|timing)/.+",
    timing=r"timing/[^/]+/[^/]+",
    dataset=r"[^/]+",
    trained=r"runs/[^/]+/\w+-k\d+[^/]*",
    pretrained=r"runs/[^/]+/[\w-]+-pretrained",
    base=r"runs/[^/]+/[^/]+(/match-[^/]+)?",
    matched=r"match-[^/]+",
    adapted=r"ft-[^/]+",
    run=r"runs/[^/]+/[^/]+(/match-[^/]+)?(/ft-[^/]+)?",
    table=r"table\d+|released|section3\.3|appendixA\.1",
    n=r"\d+",


# One resolved file per job: everything that shapes its result, nothing of the hardware. A job reads this file and no other
# configuration, so exactly the jobs whose own content changed run again.
rule resolve:
    output:
        "results/{job}/config.json",
    log:
        "results/{job}/resolve.log",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        content=lambda wildcards: fixres.workflow.resolved(plan, wildcards.job),
    shell:
        "printf '%s\\n' {params.content:q} > {output:q} 2> {log:q}"

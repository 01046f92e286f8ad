# FixRes Suite: every table, figure, number and claim of the paper is a target of this workflow.
#
#   snakemake results/table5.md --cores all
#   snakemake results/table5.md --cores all --configfile configs/imagenet.yaml
#
# Each stage of the paper's procedure is one file in rules/. The pages are declared in
# src/fixres/paper/, and src/fixres/graph/ derives the jobs from them.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")


report: "report/workflow.rst"


SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))

import fixres.asked
import fixres.workflow

# A job on a cluster receives the configuration that it was planned with
# (fixres.workflow.freeze_configuration).
if workflow.is_main_process:
    fixres.asked.check_command_line(*sys.argv)
    fixres.asked.check_file("config.yaml")
    fixres.asked.check_folders(workflow.basedir)

    configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/match.smk"
include: "rules/finetune.smk"
include: "rules/evaluate.smk"
include: "rules/timing.smk"
include: "rules/sizes.smk"
include: "rules/pages.smk"
include: "rules/recommend.smk"


# Which jobs will run, and where, is known only when jobs start. A dry run does not reach this
# point.
onstart:
    fixres.workflow.write_configurations(workflow, graph)
    fixres.workflow.announce(workflow, graph)
    if workflow.local_exec:
        fixres.workflow.without_rate_limit(workflow)
    else:
        fixres.workflow.freeze_configuration(workflow, config)


# Every table of the paper, and a summary of all of them.
rule tables:
    input:
        fixres.workflow.tables(graph),
    localrule: True
    message:
        "All tables are ready: results/summary.md"


rule all:
    default_target: True
    input:
        fixres.workflow.targets(graph),
    localrule: True
    message:
        fixres.workflow.all_is_there(graph)

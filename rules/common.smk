# The graph of jobs behind every rule, and what the rules share.
#
# The wildcard {job} is the id of a job, its folder below results/. {page} names a page.

SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))

import fixres.workflow
from fixres.graph.patterns import any_of, ids
from fixres.workflow import command, network_command

fixres.workflow.use_this_python(SOURCE)
fixres.workflow.check_command_line(sys.argv)
graph = fixres.workflow.open_graph(
    list(reversed(workflow.configfiles)), config, workflow.config_settings.config
)
hardware = graph.config.hardware
# Functions of a job's wildcards: the files that it needs.
manifest, run_weights, start_weights, local_weights = fixres.workflow.inputs_of(graph)
measurements = fixres.workflow.measurements_of(graph)


# What may run here: the ids of its jobs, and of no others.
def jobs_of(name):
    return ids(graph, name)


# What its command line tells a job: its stage, its resolved configuration, and the digest that
# makes it run again.
def job(name):
    return fixres.workflow.told(graph, name)


def limits(stage):
    return fixres.workflow.limits(graph, stage)

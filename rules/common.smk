# The graph of jobs behind every rule, and everything that the rules share.
#
# The wildcard {job} is the id of a job, its folder below results/; {page} is the name of a page. A
# job receives each named input as the option of that name, and the first output as --out.
from functools import partial

from fixres.graph.patterns import any_of, ids
from fixres.workflow import command, network_command, training_command

fixres.workflow.use_this_python(SOURCE)
graph = fixres.workflow.open_graph(
    list(reversed(workflow.configfiles)), config, workflow.config_settings.config
)
fixres.asked.check_targets(graph)
fixres.workflow.make_again(graph)
hardware = graph.config.hardware
# Functions of a job's wildcards: the files that it needs, and the labels of a page in the report.
manifest, run_weights, start_weights, local_weights = fixres.workflow.inputs_of(graph)
measurements, labels = fixres.workflow.measurements_of(graph), fixres.workflow.labels_of(graph)
jobs_of = partial(ids, graph)  # the ids of a rule's jobs, which are all that it can match
job = partial(fixres.workflow.told, graph)  # the parts of a job's command line
limits = partial(fixres.workflow.limits, graph)

# The graph of jobs behind every rule, and what the rules share.
#
# The wildcard {job} is the id of a job, its folder below results/. {page} names a page. An input that
# has a name is told to the job as the option of that name, and the first output as --out.
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
# Functions of a job's wildcards: the files that it needs, and how the report lists a page.
manifest, run_weights, start_weights, local_weights = fixres.workflow.inputs_of(graph)
measurements, labels = fixres.workflow.measurements_of(graph), fixres.workflow.labels_of(graph)
jobs_of = partial(ids, graph)  # what may run here: the ids of a rule's jobs, and of no others
job = partial(fixres.workflow.told, graph)  # what the command line tells a job
limits = partial(fixres.workflow.limits, graph)

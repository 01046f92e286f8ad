# The plan behind every rule.

SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))

import fixres.workflow

fixres.workflow.use_this_python(SOURCE)
fixres.workflow.check_command_line(sys.argv)
plan = fixres.workflow.open_plan(
    list(reversed(workflow.configfiles)), config, workflow.config_settings.config
)
hardware = plan.config.hardware


# Each wildcard is the id of a job, its folder below results/. What it may be follows from the plan.
wildcard_constraints:
    **plan.wildcards(),

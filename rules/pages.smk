# The pages: tables, figures, claims and numbers of the paper, from what the jobs measured.


rule table:
    input:
        lambda wildcards: measurements(f"pages/{wildcards.page}"),
    output:
        md="results/{page}.md",
        csv="results/{page}.csv",
        trends="results/{page}.trends.csv",
        html=report("results/{page}.html", "../report/table.rst", "Tables", labels=labels),
    log:
        "results/pages/{page}/log.txt",
    wildcard_constraints:
        page=any_of(graph.tables),
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        **job("pages/{page}"),
        caption=lambda wildcards: labels(wildcards)["shows"],
    message:
        "Rendering results/{wildcards.page}.md"
    shell:
        command("--results results")


use rule table as figure with:
    output:
        svg=report("results/{page}.svg", "../report/figure.rst", "Figures", labels=labels),
        png="results/{page}.png",
        csv="results/{page}.csv",
    wildcard_constraints:
        page=any_of(graph.figures),
    localrule: True
    message:
        "Drawing results/{wildcards.page}.svg"


# All tables: what is measured, reported and missing, and where trends differ from the paper's.
use rule table as summary with:
    input:
        expand("results/{table}.{kind}", table=graph.tables, kind=["csv", "trends.csv"]),
    output:
        md="results/{page}.md",
        html=report("results/{page}.html", "../report/summary.rst", "Tables", labels=labels),
    wildcard_constraints:
        page="summary",
    localrule: True


# The claims of the paper, each decided by the intervals of the cells that it is about.
use rule table as claims with:
    output:
        md="results/{page}.md",
        csv="results/{page}.csv",
        comparisons="results/{page}.comparisons.csv",
        html=report("results/{page}.html", "../report/claims.rst", "Claims", labels=labels),
    wildcard_constraints:
        page="claims",
    localrule: True


# Numbers that the paper prints in its text.
use rule table as text with:
    output:
        md="results/{page}.md",
        csv="results/{page}.csv",
        html=report("results/{page}.html", "../report/text.rst", "Claims", labels=labels),
    wildcard_constraints:
        page="text",
    localrule: True


# Everything on one page, in a single file without external links, to send to a colleague.
use rule table as report with:
    input:
        fixres.workflow.report_inputs(graph),
        lambda wildcards: fixres.workflow.all_measurements(graph),
    output:
        html=report("results/{page}.html", "../report/report.rst", "Report", labels=labels),
    wildcard_constraints:
        page="report",
    localrule: True
    message:
        "Rendering results/{wildcards.page}.html"


# Everything that `all` makes, with the code, the configuration and the provenance, as a deposit.
# Configuration files among the inputs are copied unchanged.
use rule table as crate with:
    input:
        fixres.workflow.targets(graph),
        fixres.workflow.records(graph),
        given=[str(file) for file in workflow.configfiles],
    output:
        crate=directory("results/{page}"),
    wildcard_constraints:
        page="ro-crate",
    localrule: True
    params:
        **job("pages/{page}"),
    message:
        "Putting the results into an RO-Crate: results/{wildcards.page}/"


# What each page would cost in jobs, device hours and disk space: see it before an expensive run.
use rule table as cost with:
    output:
        md="results/{page}.md",
    wildcard_constraints:
        page="plan",
    localrule: True
    params:
        finished=lambda wildcards: fixres.workflow.finished(),
    message:
        "Estimating the costs: results/{wildcards.page}.md"

# The pages: tables, figures, claims and numbers of the paper, from what the jobs measured.


rule table:
    input:
        measurements=lambda wildcards: measurements(f"pages/{wildcards.page}"),
    output:
        md="results/{page}.md",
        csv="results/{page}.csv",
        trends="results/{page}.trends.csv",
        html=report(
            "results/{page}.html",
            category="Tables",
            labels=lambda wildcards: fixres.workflow.labels(graph, wildcards.page),
            caption="../report/table.rst",
        ),
    log:
        "results/pages/{page}/log.txt",
    wildcard_constraints:
        page=any_of(graph.tables),
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        **job("pages/{page}"),
        out="results/{page}.md",
        caption=lambda wildcards: fixres.workflow.labels(graph, wildcards.page)["shows"],
    message:
        "Rendering results/{wildcards.page}.md"
    shell:
        command("--results results", out="{params.out:q}")


use rule table as figure with:
    output:
        svg=report(
            "results/{page}.svg",
            category="Figures",
            labels=lambda wildcards: fixres.workflow.labels(graph, wildcards.page),
            caption="../report/figure.rst",
        ),
        png="results/{page}.png",
        csv="results/{page}.csv",
    wildcard_constraints:
        page=any_of(graph.figures),
    params:
        out="results/{page}.svg",
    message:
        "Drawing results/{wildcards.page}.svg"


# All tables: what is measured, reported and missing, and where the numbers go another way than the
# paper's.
use rule table as summary with:
    input:
        tables=expand("results/{table}.{kind}", table=graph.tables, kind=["csv", "trends.csv"]),
    output:
        md="results/{page}.md",
        html=report(
            "results/{page}.html",
            category="Tables",
            labels={"page": "Summary", "shows": "all tables: what is measured, and trends"},
            caption="../report/summary.rst",
        ),
    wildcard_constraints:
        page="summary",


# The claims of the paper, each decided by the intervals of the cells that it speaks of.
use rule table as claims with:
    output:
        md="results/{page}.md",
        csv="results/{page}.csv",
        comparisons="results/{page}.comparisons.csv",
        html=report(
            "results/{page}.html",
            category="Claims",
            labels={"page": "Claims", "shows": "the claims of the paper, each with a verdict"},
            caption="../report/claims.rst",
        ),
    wildcard_constraints:
        page="claims",


# Numbers that the paper prints in its text.
use rule table as text with:
    output:
        md="results/{page}.md",
        csv="results/{page}.csv",
        html=report(
            "results/{page}.html",
            category="Claims",
            labels={
                "page": "Numbers in the text",
                "shows": "what the text says, what its tables say, ours",
            },
            caption="../report/text.rst",
        ),
    wildcard_constraints:
        page="text",


# Everything on one page, in one file without outside links: to send to a colleague.
use rule table as report with:
    input:
        pages=fixres.workflow.report_inputs(graph),
        measurements=lambda wildcards: fixres.workflow.all_measurements(graph),
    output:
        html=report(
            "results/{page}.html",
            category="Report",
            labels={"page": "Report", "shows": "everything on one page, to send to a colleague"},
            caption="../report/report.rst",
        ),
    wildcard_constraints:
        page="report",
    params:
        out="results/{page}.html",
    message:
        "Rendering results/{wildcards.page}.html"


# What each page would cost: jobs, device hours, disk. Ask for it before anything expensive starts.
use rule table as cost with:
    output:
        md="results/{page}.md",
    wildcard_constraints:
        page="plan",
    params:
        finished=lambda wildcards: fixres.workflow.finished(),
    message:
        "Estimating the costs: results/{wildcards.page}.md"

# The pages: tables and figures of the paper, from the metrics of the runs that they show.


rule table:
    input:
        measurements=lambda wildcards: fixres.workflow.measurements(plan, wildcards.table),
    output:
        md="results/{table}.md",
        csv="results/{table}.csv",
        trends="results/{table}.trends.csv",
        html=report(
            "results/{table}.html",
            category="Tables",
            labels=lambda wildcards: plan.report_labels(wildcards.table),
            caption="../report/table.rst",
        ),
    log:
        "results/pages/{table}/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/pages/{table}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "pages/{table}"),
        caption=lambda wildcards: plan.caption(wildcards.table),
    message:
        "Rendering results/{wildcards.table}.md"
    shell:
        "exec python -m fixres table --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --results results --out {output.md:q} 2> {log:q}"


rule figure:
    input:
        measurements=lambda wildcards: fixres.workflow.measurements(plan, wildcards.figure),
    output:
        svg=report(
            "results/{figure}.svg",
            category="Figures",
            labels=lambda wildcards: plan.report_labels(wildcards.figure),
            caption="../report/figure.rst",
        ),
        png="results/{figure}.png",
        csv="results/{figure}.csv",
    log:
        "results/pages/{figure}/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/pages/{figure}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "pages/{figure}"),
        caption=lambda wildcards: plan.caption(wildcards.figure),
    message:
        "Drawing results/{wildcards.figure}.svg"
    shell:
        "exec python -m fixres figure --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --results results --out {output.svg:q} 2> {log:q}"


# All tables: what is measured, reported and missing, and where the numbers go another way than the
# paper's.
rule summary:
    input:
        tables=expand("results/{table}.{kind}", table=plan.tables, kind=["csv", "trends.csv"]),
    output:
        md="results/summary.md",
        html=report(
            "results/summary.html",
            category="Tables",
            labels={"page": "Summary", "shows": "all tables: what is measured, and trends"},
            caption="../report/summary.rst",
        ),
    log:
        "results/pages/summary/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/pages/summary/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "pages/summary"),
    message:
        "Rendering results/summary.md"
    shell:
        "exec python -m fixres summary --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --results results --out {output.md:q} 2> {log:q}"


# The claims of the paper, each decided by the intervals of the cells that it speaks of.
rule claims:
    input:
        measurements=lambda wildcards: fixres.workflow.measurements(plan, "claims"),
    output:
        md="results/claims.md",
        csv="results/claims.csv",
        comparisons="results/claims.comparisons.csv",
        html=report(
            "results/claims.html",
            category="Claims",
            labels={"page": "Claims", "shows": "the claims of the paper, each with a verdict"},
            caption="../report/claims.rst",
        ),
    log:
        "results/pages/claims/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/pages/claims/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "pages/claims"),
    message:
        "Rendering results/claims.md"
    shell:
        "exec python -m fixres claims --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --results results --out {output.md:q} 2> {log:q}"


# Numbers that the paper prints in its text.
rule text:
    input:
        measurements=lambda wildcards: fixres.workflow.measurements(plan, "text"),
    output:
        md="results/text.md",
        csv="results/text.csv",
        html=report(
            "results/text.html",
            category="Claims",
            labels={
                "page": "Numbers in the text",
                "shows": "what the text says, what its tables say, ours",
            },
            caption="../report/text.rst",
        ),
    log:
        "results/pages/text/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/pages/text/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "pages/text"),
    message:
        "Rendering results/text.md"
    shell:
        "exec python -m fixres text --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --results results --out {output.md:q} 2> {log:q}"


# Everything on one page, in one file without outside links: to send to a colleague.
rule report:
    input:
        pages=fixres.workflow.report_inputs(plan),
        measurements=lambda wildcards: fixres.workflow.all_measurements(plan),
    output:
        html=report(
            "results/report.html",
            category="Report",
            labels={"page": "Report", "shows": "everything on one page, to send to a colleague"},
            caption="../report/report.rst",
        ),
    log:
        "results/pages/report/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/pages/report/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "pages/report"),
    message:
        "Rendering results/report.html"
    shell:
        "exec python -m fixres report --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --results results --out {output.html:q} 2> {log:q}"


# What each page would cost: jobs, device hours, disk. Ask for it before anything expensive starts.
rule cost:
    output:
        md="results/plan.md",
    log:
        "results/pages/plan/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/pages/plan/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "pages/plan"),
        finished=lambda wildcards: fixres.workflow.finished(),
    message:
        "Estimating the costs: results/plan.md"
    shell:
        "exec python -m fixres cost --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --results results --out {output.md:q} 2> {log:q}"

# The pages: tables and figures of the paper, from the metrics of the runs that they show.


rule table:
    input:
        config="results/pages/{table}/config.json",
        metrics=lambda wildcards: fixres.workflow.metrics(plan, wildcards.table),
    output:
        md="results/{table}.md",
        csv="results/{table}.csv",
        html=report(
            "results/{table}.html", category="Tables", caption="../report/table.rst"
        ),
    log:
        "results/pages/{table}/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "pages/{table}"),
    shell:
        "exec python -m fixres table --config {input.config:q} --ancestry-digest {params.ancestry_digest}"
        " --results results"
        " --out {output.md:q} 2> {log:q}"


rule figure:
    input:
        config="results/pages/figure{n}/config.json",
        metrics=lambda wildcards: fixres.workflow.metrics(plan, f"figure{wildcards.n}"),
    output:
        svg=report(
            "results/figure{n}.svg", category="Figures", caption="../report/figure.rst"
        ),
        png="results/figure{n}.png",
    log:
        "results/pages/figure{n}/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "pages/figure{n}"),
    shell:
        "exec python -m fixres figure --config {input.config:q} --ancestry-digest {params.ancestry_digest}"
        " --results results"
        " --out {output.svg:q} 2> {log:q}"


# What is measured, reported and missing in all tables, and where the numbers go another way than the paper's.
rule summary:
    input:
        config="results/pages/summary/config.json",
        tables=expand("results/{table}.csv", table=plan.tables),
    output:
        md="results/summary.md",
        html=report(
            "results/summary.html", category="Tables", caption="../report/summary.rst"
        ),
    log:
        "results/pages/summary/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "pages/summary"),
    shell:
        "exec python -m fixres summary --config {input.config:q} --ancestry-digest {params.ancestry_digest}"
        " --results results"
        " --out {output.md:q} 2> {log:q}"


# What each page would cost: jobs, device hours, disk. Ask for it before anything expensive starts.
rule cost:
    input:
        config="results/pages/plan/config.json",
    output:
        md="results/plan.md",
    log:
        "results/pages/plan/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "pages/plan"),
        finished=lambda wildcards: fixres.workflow.finished(),
    shell:
        "exec python -m fixres cost --config {input.config:q} --ancestry-digest {params.ancestry_digest}"
        " --results results"
        " --out {output.md:q} 2> {log:q}"

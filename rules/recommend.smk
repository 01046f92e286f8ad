# A custom network and images (docs/recommend.md): its speed, the choice of k_test and crop_pct, the
# network for other programs, and the answer.


rule statistics:
    input:
        manifest=lambda wildcards: fixres.graph.manifest_of(wildcards.restated),
        weights=lambda wildcards: fixres.graph.parent_weights(wildcards.restated),
    output:
        weights="results/{restated}/weights.safetensors",
    log:
        "results/{restated}/statistics.log",
    benchmark:
        "results/{restated}/statistics.benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: hardware.evaluate_threads
    resources:
        **fixres.workflow.stage_resources(plan, "match"),
    params:
        config="results/{restated}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{restated}"),
    message:
        "Estimating statistics: {wildcards.restated}"
    shell:
        "exec python -m fixres statistics --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q} --weights {input.weights:q}"
        " --threads {threads} --gpus {resources.gpu} {resources.options}"
        " --out {output.weights:q} 2> {log:q}"


# Nothing else runs beside it.
rule speed:
    output:
        metrics="results/{speeded}/metrics.json",
    log:
        "results/{speeded}/speed.log",
    benchmark:
        "results/{speeded}/speed.benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: fixres.workflow.all_cores(workflow) or hardware.evaluate_threads
    resources:
        **fixres.workflow.stage_resources(plan, "time"),
        threads_timed=hardware.evaluate_threads,
    params:
        config="results/{speeded}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{speeded}"),
    message:
        "Time and memory at each k_test: {wildcards.speeded}"
    shell:
        "exec python -m fixres speed --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --threads {resources.threads_timed} --gpus {resources.gpu} {resources.options}"
        " --out {output.metrics:q} 2> {log:q}"


rule choose:
    input:
        measurements=lambda wildcards: plan.custom_measurements(),
    output:
        choice="results/recommend/{custom}/choice/choice.json",
    log:
        "results/recommend/{custom}/choice/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/recommend/{custom}/choice/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "recommend/{custom}/choice"),
    message:
        "Choosing k_test and crop_pct: {wildcards.custom}"
    shell:
        "exec python -m fixres choose --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --results results --out {output.choice:q} 2> {log:q}"


# The weights stand under the network's own names. What lies beside them depends on where the network
# comes from (models/export.py).
rule export:
    input:
        choice="results/recommend/{custom}/choice/choice.json",
        weights=lambda wildcards: [f"results/{run}/weights.safetensors" for run in plan.custom_runs()],
        manifest=lambda wildcards: f"results/data/{plan.config.dataset}/manifest.npz",
    output:
        model="results/recommend/{custom}/fixed/model.safetensors",
    log:
        "results/recommend/{custom}/export/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/recommend/{custom}/export/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "recommend/{custom}/export"),
    message:
        "Writing the chosen network: results/recommend/{wildcards.custom}/fixed/"
    shell:
        "exec python -m fixres export --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --choice {input.choice:q} --manifest {input.manifest:q}"
        " --results results --out {output.model:q} 2> {log:q}"


rule answer:
    input:
        choice="results/recommend/{custom}/choice/choice.json",
        model="results/recommend/{custom}/fixed/model.safetensors",
    output:
        md="results/recommend/{custom}.md",
        csv="results/recommend/{custom}.csv",
        svg="results/recommend/{custom}.svg",
        png="results/recommend/{custom}.png",
        html=report(
            "results/recommend/{custom}.html",
            category="Your network",
            labels={"page": "{custom}", "shows": "where to test it, what fixing gains and costs"},
        ),
    log:
        "results/recommend/{custom}/log.txt",
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/recommend/{custom}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "recommend/{custom}"),
    message:
        "The answer: results/recommend/{wildcards.custom}.md"
    shell:
        "exec python -m fixres answer --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --results results --out {output.md:q} 2> {log:q}"

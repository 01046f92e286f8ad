# §1: the peak memory of a step of training, and of fine-tuning.


rule memory:
    input:
        manifest=lambda wildcards: fixres.graph.manifest_of(wildcards.weighed),
    output:
        metrics="results/{weighed}/metrics.json",
    log:
        "results/{weighed}/memory.log",
    benchmark:
        "results/{weighed}/memory.benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: hardware.train_threads
    resources:
        **fixres.workflow.stage_resources(plan, "time"),
    params:
        config="results/{weighed}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{weighed}"),
    message:
        "Peak memory: {wildcards.weighed}"
    shell:
        "exec python -m fixres memory --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q}"
        " --threads {threads} --gpus {resources.gpu} {resources.options}"
        " --out {output.metrics:q} 2> {log:q}"

# §5.1, "Speed-accuracy trade-off" (Table 7): milliseconds of forward and backward passes. All cores, so that nothing else runs beside it.


rule time:
    input:
        config="results/{timing}/config.json",
        manifest=lambda wildcards: fixres.plan.manifest_of(wildcards.timing),
    output:
        metrics="results/{timing}/metrics.json",
    log:
        "results/{timing}/time.log",
    benchmark:
        "results/{timing}/time.benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: fixres.workflow.all_cores(workflow) or hardware.train_threads
    resources:
        **fixres.workflow.stage_resources(plan, "time"),
        threads_timed=hardware.train_threads,
    params:
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{timing}"),
    shell:
        "exec python -m fixres time --config {input.config:q} --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q}"
        " --threads {resources.threads_timed} --gpus {resources.gpu} {resources.options} --out {output.metrics:q} 2> {log:q}"

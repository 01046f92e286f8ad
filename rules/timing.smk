# §5.1, "Speed-accuracy trade-off" (Table 7): milliseconds of forward and backward passes. The job
# takes all cores, so that nothing else runs beside it.


rule time:
    input:
        manifest=lambda wildcards: fixres.graph.manifest_of(wildcards.timed),
    output:
        metrics="results/{timed}/metrics.json",
    log:
        "results/{timed}/time.log",
    benchmark:
        "results/{timed}/time.benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: fixres.workflow.all_cores(workflow) or hardware.train_threads
    resources:
        **fixres.workflow.stage_resources(plan, "time"),
        threads_timed=hardware.train_threads,
    params:
        config="results/{timed}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{timed}"),
    message:
        "Timing {wildcards.timed}"
    shell:
        "exec python -m fixres time --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q}"
        " --threads {resources.threads_timed} --gpus {resources.gpu} {resources.options}"
        " --out {output.metrics:q} 2> {log:q}"

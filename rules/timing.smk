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
    threads: workflow.cores
    resources:
        loader=hardware.loader,
        workers=hardware.workers,
        precision=hardware.precision,
        compile="--compile" if hardware.compile else "",
        threads_timed=hardware.train_threads,
    shell:
        "python -m fixres time --config {input.config:q} --manifest {input.manifest:q}"
        " --threads {resources.threads_timed} --loader {resources.loader} --workers {resources.workers}"
        " --precision {resources.precision} {resources.compile} --out {output.metrics:q} 2> {log:q}"

# §3.2, A.1 and A.2: the statistics of a network's activations at some test resolutions.


rule activations:
    input:
        manifest=lambda wildcards: fixres.graph.manifest_of(wildcards.run),
        weights="results/{run}/weights.safetensors",
    output:
        metrics="results/{run}/activations/metrics.json",
        samples="results/{run}/activations/samples.npz",
    log:
        "results/{run}/activations/log.txt",
    benchmark:
        "results/{run}/activations/benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: hardware.evaluate_threads
    resources:
        **fixres.workflow.stage_resources(plan, "evaluate"),
    params:
        config="results/{run}/activations/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{run}/activations"),
    message:
        "Measuring the activations of {wildcards.run}"
    shell:
        "exec python -m fixres activations --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q} --weights {input.weights:q}"
        " --threads {threads} --gpus {resources.gpu} {resources.options}"
        " --out {output.metrics:q} 2> {log:q}"

# §5: top-1, top-5 and their spread, of any trained or adapted network, at all the test resolutions
# that a page shows it at.


rule evaluate:
    input:
        manifest=lambda wildcards: fixres.graph.manifest_of(wildcards.run),
        weights="results/{run}/weights.safetensors",
    output:
        metrics="results/{run}/evaluation/metrics.json",
        hits="results/{run}/evaluation/hits.npz",
    log:
        "results/{run}/evaluation/log.txt",
    benchmark:
        "results/{run}/evaluation/benchmark.tsv"
    # After the fine-tunings: each predicts for its own evaluation and for that of its base, at its
    # k_test. What they leave is not computed again.
    priority: 0
    conda:
        "../envs/environment.yaml"
    threads: hardware.evaluate_threads
    resources:
        **fixres.workflow.stage_resources(plan, "evaluate"),
    params:
        config="results/{run}/evaluation/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{run}/evaluation"),
    message:
        "Evaluating {wildcards.run}"
    shell:
        "exec python -m fixres evaluate --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q} --weights {input.weights:q}"
        " --threads {threads} --gpus {resources.gpu} {resources.options}"
        " --out {output.metrics:q} 2> {log:q}"


# The same at the many test resolutions of a sweep (Figure 7), as a job of its own.
use rule evaluate as sweep with:
    output:
        metrics="results/{run}/sweep/metrics.json",
        hits="results/{run}/sweep/hits.npz",
    log:
        "results/{run}/sweep/log.txt",
    benchmark:
        "results/{run}/sweep/benchmark.tsv"
    params:
        config="results/{run}/sweep/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{run}/sweep"),
    message:
        "Evaluating {wildcards.run} at many resolutions"

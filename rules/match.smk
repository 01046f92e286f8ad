# §4.2, "Parametric adaptation", and Appendix A: the distribution of a network's activations at one
# k_test, matched to the one at k_train.


rule match:
    input:
        manifest=lambda wildcards: fixres.graph.manifest_of(wildcards.matched),
        weights=lambda wildcards: fixres.graph.parent_weights(wildcards.matched),
    output:
        weights="results/{matched}/weights.safetensors",
    log:
        "results/{matched}/match.log",
    benchmark:
        "results/{matched}/match.benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: hardware.evaluate_threads
    resources:
        **fixres.workflow.stage_resources(plan, "match"),
    params:
        config="results/{matched}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{matched}"),
    message:
        "Matching distributions: {wildcards.matched}"
    shell:
        "exec python -m fixres match --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q} --weights {input.weights:q}"
        " --threads {threads} --gpus {resources.gpu} {resources.options}"
        " --out {output.weights:q} 2> {log:q}"

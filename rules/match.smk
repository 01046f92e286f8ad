# §4.2, "Parametric adaptation", and Appendix A: a network's activations at one k_test, mapped onto their distribution at k_train.


rule match:
    input:
        config="results/{base}/{matched}/config.json",
        manifest=lambda wildcards: fixres.plan.manifest_of(wildcards.base),
        weights="results/{base}/weights.safetensors",
    output:
        weights="results/{base}/{matched}/weights.safetensors",
    log:
        "results/{base}/{matched}/match.log",
    benchmark:
        "results/{base}/{matched}/match.benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: hardware.evaluate_threads
    resources:
        **fixres.workflow.stage_resources(plan, "match"),
    params:
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{base}/{matched}"),
    shell:
        "exec python -m fixres match --config {input.config:q} --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q} --weights {input.weights:q}"
        " --threads {threads} --gpus {resources.gpu} {resources.options}"
        " --out {output.weights:q} 2> {log:q}"

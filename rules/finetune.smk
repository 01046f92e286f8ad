# §4.2, "Adaptation via fine-tuning": the last layers of a trained network, at one k_test.


# It keeps its last checkpoint (of the layers that were trained): where it shares a submission with its evaluation and that is interrupted,
# Snakemake deletes the results of both.
rule finetune:
    input:
        config="results/{base}/{adapted}/config.json",
        manifest=lambda wildcards: fixres.plan.manifest_of(wildcards.base),
        weights="results/{base}/weights.safetensors",
    output:
        weights="results/{base}/{adapted}/weights.safetensors",
    log:
        "results/{base}/{adapted}/finetune.log",
    benchmark:
        "results/{base}/{adapted}/finetune.benchmark.tsv"
    priority: lambda wildcards: plan.resolution(f"{wildcards.base}/{wildcards.adapted}")
    conda:
        "../envs/environment.yaml"
    threads: hardware.finetune_threads
    resources:
        **fixres.workflow.stage_resources(plan, "finetune"),
        checkpoint_seconds=int(hardware.checkpoint_seconds),
        cache_mb=int(1000 * hardware.cache_gb),
    params:
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{base}/{adapted}"),
    shell:
        "exec python -m fixres finetune --config {input.config:q} --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q} --weights {input.weights:q}"
        " --threads {threads} --gpus {resources.gpu} {resources.options}"
        " --checkpoint-seconds {resources.checkpoint_seconds} --keep-checkpoint --cache-mb {resources.cache_mb}"
        " --out {output.weights:q} 2> {log:q}"

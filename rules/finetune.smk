# §4.2, "Adaptation via fine-tuning": the last layers of a trained network, at one k_test.


# A fine-tuning keeps its last checkpoint, which holds only the layers that train. It may share a
# submission with its evaluation; when that is interrupted, Snakemake deletes the results of both.
rule finetune:
    input:
        manifest=lambda wildcards: fixres.graph.manifest_of(wildcards.adapted),
        weights=lambda wildcards: fixres.graph.parent_weights(wildcards.adapted),
    output:
        weights="results/{adapted}/weights.safetensors",
        curve="results/{adapted}/log.csv",
    log:
        "results/{adapted}/finetune.log",
    benchmark:
        "results/{adapted}/finetune.benchmark.tsv"
    priority: lambda wildcards: plan.resolution(wildcards.adapted)
    conda:
        "../envs/environment.yaml"
    threads: hardware.finetune_threads
    resources:
        **fixres.workflow.stage_resources(plan, "finetune"),
        checkpoint_seconds=int(hardware.checkpoint_seconds),
        tensorboard=int(hardware.tensorboard),
        cuda_graphs=int(hardware.cuda_graphs),
        decoded_mb=int(1000 * hardware.decoded_gb),
        cache_mb=int(1000 * hardware.cache_gb),
    params:
        config="results/{adapted}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{adapted}"),
    message:
        "Fine-tuning {wildcards.adapted}"
    shell:
        "exec python -m fixres finetune --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q} --weights {input.weights:q}"
        " --threads {threads} --gpus {resources.gpu} {resources.options}"
        " --checkpoint-seconds {resources.checkpoint_seconds} --keep-checkpoint"
        " --tensorboard {resources.tensorboard} --cuda-graphs {resources.cuda_graphs}"
        " --decoded-mb {resources.decoded_mb}"
        " --cache-mb {resources.cache_mb} --predict --out {output.weights:q} 2> {log:q}"

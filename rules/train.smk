# §5, "Training protocol": base training at every k_train.
# §5.3, step 2: training on another dataset from given weights.


# Published weights are fetched or read from a file, checked key by key, kept as safetensors.
rule pretrained:
    input:
        file=lambda wildcards: fixres.workflow.local_weights_file(plan, wildcards.pretrained),
    output:
        weights="results/{pretrained}/weights.safetensors",
    log:
        "results/{pretrained}/pretrained.log",
    benchmark:
        "results/{pretrained}/pretrained.benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **fixres.workflow.stage_resources(plan, "pretrained"),
    params:
        config="results/{pretrained}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{pretrained}"),
    message:
        "Fetching published weights: {wildcards.pretrained}"
    shell:
        "exec python -m fixres pretrained --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --out {output.weights:q} 2> {log:q}"


rule train:
    input:
        manifest=lambda wildcards: fixres.graph.manifest_of(wildcards.trained),
        init=lambda wildcards: fixres.workflow.init(plan, wildcards.trained),
    output:
        weights="results/{trained}/weights.safetensors",
        curve="results/{trained}/log.csv",
    log:
        "results/{trained}/train.log",
    benchmark:
        "results/{trained}/train.benchmark.tsv"
    # The longest trainings start first, so that the last job of all is not one of them, alone.
    priority: lambda wildcards: 10000 + plan.resolution(wildcards.trained)
    conda:
        "../envs/environment.yaml"
    threads: hardware.train_threads
    resources:
        **fixres.workflow.stage_resources(plan, "train"),
        checkpoint_seconds=int(hardware.checkpoint_seconds),
        tensorboard=int(hardware.tensorboard),
        cuda_graphs=int(hardware.cuda_graphs),
        decoded_mb=int(1000 * hardware.decoded_gb),
    params:
        config="results/{trained}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{trained}"),
        init=lambda wildcards: ("--init" if fixres.workflow.init(plan, wildcards.trained) else ""),
    message:
        "Training {wildcards.trained}"
    shell:
        "exec python -m fixres train --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q} {params.init} {input.init:q}"
        " --threads {threads} --gpus {resources.gpu} {resources.options}"
        " --checkpoint-seconds {resources.checkpoint_seconds}"
        " --tensorboard {resources.tensorboard} --cuda-graphs {resources.cuda_graphs}"
        " --decoded-mb {resources.decoded_mb}"
        " --out {output.weights:q} 2> {log:q}"

# §5, "Training protocol": base training at every k_train.


rule train:
    input:
        config="results/{base}/config.json",
        manifest=f"results/data/{plan.config.dataset.name}/manifest.npz",
    output:
        weights="results/{base}/weights.safetensors",
    log:
        "results/{base}/train.log",
    benchmark:
        "results/{base}/train.benchmark.tsv"
    # The longest trainings first, so that the last job of all is not one of them, alone.
    priority: lambda wildcards: 10000 + plan.resolution(wildcards.base)
    conda:
        "../envs/environment.yaml"
    threads: hardware.train_threads
    resources:
        loader=hardware.loader,
        workers=hardware.workers,
        precision=hardware.precision,
        checkpoint_seconds=int(hardware.checkpoint_seconds),
    shell:
        "python -m fixres train --config {input.config:q} --manifest {input.manifest:q}"
        " --threads {threads} --loader {resources.loader} --workers {resources.workers} --precision {resources.precision}"
        " --checkpoint-seconds {resources.checkpoint_seconds} --out {output.weights:q} 2> {log:q}"

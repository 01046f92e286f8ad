# §5, "Training protocol": base training at every k_train.
# §5.3, step 2: training on another dataset from existing weights.


# Published weights are downloaded or read from a file, checked key by key, and saved as
# safetensors.
rule pretrained:
    input:
        local_weights,
    output:
        weights="results/{job}/weights.safetensors",
    log:
        "results/{job}/pretrained.log",
    benchmark:
        "results/{job}/pretrained.benchmark.tsv"
    wildcard_constraints:
        job=jobs_of("pretrained"),
    conda:
        "../envs/environment.yaml"
    resources:
        **limits("pretrained"),
    params:
        **job("{job}"),
    message:
        "Fetching published weights: {wildcards.job}"
    shell:
        command()


rule train:
    input:
        manifest=manifest,
        init=start_weights,
    output:
        weights="results/{job}/weights.safetensors",
        curve="results/{job}/log.csv",
    log:
        "results/{job}/train.log",
    benchmark:
        "results/{job}/train.benchmark.tsv"
    wildcard_constraints:
        job=jobs_of("train"),
    # The longest trainings start first, so that none of them is left to run alone at the end.
    priority: lambda wildcards: 10000 + graph.job(wildcards.job).k
    conda:
        "../envs/environment.yaml"
    threads: hardware.train_threads
    resources:
        **limits("train"),
    params:
        **job("{job}"),
    message:
        "Training {wildcards.job}"
    shell:
        training_command()

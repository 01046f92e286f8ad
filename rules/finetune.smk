# §4.2, "Adaptation via fine-tuning": the last layers of a trained network, at one k_test.


# A fine-tuning keeps its last checkpoint, which contains only the layers that train. It may share a
# submission with its evaluation; if this is interrupted, Snakemake deletes the results of both.
rule finetune:
    input:
        manifest=manifest,
        weights=run_weights,
    output:
        weights="results/{job}/weights.safetensors",
        curve="results/{job}/log.csv",
    log:
        "results/{job}/finetune.log",
    benchmark:
        "results/{job}/finetune.benchmark.tsv"
    wildcard_constraints:
        job=jobs_of("finetune"),
    priority: lambda wildcards: fixres.workflow.priority_of(graph.job(wildcards.job))
    conda:
        "../envs/environment.yaml"
    threads: hardware.finetune_threads
    resources:
        **limits("finetune"),
    params:
        **job("{job}"),
    message:
        "Fine-tuning {wildcards.job}"
    shell:
        training_command("--cache-mb {resources.cache_mb} --keep-checkpoint --predict")

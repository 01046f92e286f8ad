# §3.1: apparent sizes of objects under train DA and test DA, which need only the manifest, and the
# crops of Figure 1. Both need no network and take seconds, so they run where Snakemake runs.


rule sizes:
    input:
        manifest=manifest,
    output:
        metrics="results/{job}/metrics.json",
        samples="results/{job}/samples.npz",
    log:
        "results/{job}/sizes.log",
    benchmark:
        "results/{job}/sizes.benchmark.tsv"
    wildcard_constraints:
        job=jobs_of("sizes"),
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        **job("{job}"),
    message:
        "Measuring apparent sizes: {wildcards.job}"
    shell:
        command()


use rule sizes as crops with:
    output:
        crops="results/{job}/crops.npz",
    log:
        "results/{job}/crops.log",
    benchmark:
        "results/{job}/crops.benchmark.tsv"
    wildcard_constraints:
        job=jobs_of("crops"),
    localrule: True
    message:
        "Cutting the crops of one image: {wildcards.job}"

# §4.2, "Parametric adaptation", and Appendix A: the distribution of a network's activations at one
# k_test, matched to the one at k_train.


rule match:
    input:
        manifest=manifest,
        weights=run_weights,
    output:
        weights="results/{job}/weights.safetensors",
    log:
        "results/{job}/match.log",
    benchmark:
        "results/{job}/match.benchmark.tsv"
    wildcard_constraints:
        job=jobs_of("match"),
    conda:
        "../envs/environment.yaml"
    threads: hardware.evaluate_threads
    resources:
        **limits("match"),
    params:
        **job("{job}"),
    message:
        "Matching distributions: {wildcards.job}"
    shell:
        network_command()


# The control for a custom network: only the statistics of its last batch-norm are estimated again,
# at one k_test.
use rule match as statistics with:
    log:
        "results/{job}/statistics.log",
    benchmark:
        "results/{job}/statistics.benchmark.tsv"
    wildcard_constraints:
        job=jobs_of("statistics"),
    message:
        "Estimating statistics: {wildcards.job}"

# §5: top-1, top-5 and their spread for any trained or adapted network, at all test resolutions that
# pages show. §3.2, A.1, A.2: the statistics of its activations.


rule evaluate:
    input:
        manifest=manifest,
        weights=run_weights,
    output:
        metrics="results/{job}/metrics.json",
        hits="results/{job}/hits.npz",
    log:
        "results/{job}/log.txt",
    benchmark:
        "results/{job}/benchmark.tsv"
    wildcard_constraints:
        job=jobs_of("evaluate"),
    # After the fine-tunings, because each predicts at its k_test for its own evaluation and for its
    # base's evaluation, which then need not compute these predictions again.
    priority: 0
    conda:
        "../envs/environment.yaml"
    threads: hardware.evaluate_threads
    resources:
        **limits("evaluate"),
    params:
        **job("{job}"),
    message:
        "Evaluating {wildcards.job}"
    shell:
        network_command()


# The same at the many test resolutions of a sweep (Figure 7), as a separate job.
use rule evaluate as sweep with:
    wildcard_constraints:
        job=jobs_of("sweep"),
    message:
        "Evaluating at many resolutions: {wildcards.job}"


use rule evaluate as activations with:
    output:
        metrics="results/{job}/metrics.json",
        samples="results/{job}/samples.npz",
    wildcard_constraints:
        job=jobs_of("activations"),
    message:
        "Measuring activations: {wildcards.job}"

# The cost of one step, or of one forward pass. A timing reserves all cores, so that nothing else
# runs concurrently (Table 7); the job itself computes on {resources.threads_timed} threads.


# §5.1, "Speed-accuracy trade-off" (Table 7): milliseconds of forward and backward passes.
rule time:
    input:
        manifest=manifest,
    output:
        metrics="results/{job}/metrics.json",
    log:
        "results/{job}/time.log",
    benchmark:
        "results/{job}/time.benchmark.tsv"
    wildcard_constraints:
        job=jobs_of("time"),
    conda:
        "../envs/environment.yaml"
    threads: fixres.workflow.all_cores(workflow) or hardware.train_threads
    resources:
        **limits("time"),
        threads_timed=hardware.train_threads,
    params:
        **job("{job}"),
    message:
        "Timing {wildcards.job}"
    shell:
        network_command(threads="{resources.threads_timed}")


# §1: the peak memory of a step of training, and of fine-tuning.
use rule time as memory with:
    log:
        "results/{job}/memory.log",
    benchmark:
        "results/{job}/memory.benchmark.tsv"
    wildcard_constraints:
        job=jobs_of("memory"),
    threads: hardware.train_threads
    message:
        "Peak memory: {wildcards.job}"


# The cost of a custom network at each k_test, without images.
use rule time as speed with:
    input:
        [],
    log:
        "results/{job}/speed.log",
    benchmark:
        "results/{job}/speed.benchmark.tsv"
    wildcard_constraints:
        job=jobs_of("speed"),
    threads: fixres.workflow.all_cores(workflow) or hardware.evaluate_threads
    resources:
        **limits("speed"),
        threads_timed=hardware.evaluate_threads,
    message:
        "Time and memory at each k_test: {wildcards.job}"

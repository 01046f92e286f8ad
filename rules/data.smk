# §3.1: the images, rendered or given, and the manifest that lists and checks them.


rule render:
    input:
        config="results/data/{dataset}/render/config.json",
    output:
        images=directory("results/data/{dataset}/images"),
    log:
        "results/data/{dataset}/render/log.txt",
    benchmark:
        "results/data/{dataset}/render/benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: hardware.render_threads
    shell:
        "python -m fixres render --config {input.config:q} --threads {threads} --out {output.images:q} 2> {log:q}"


rule manifest:
    input:
        config="results/data/{dataset}/manifest/config.json",
        # A folder that the user gives changes its date for many reasons; one that is rendered here only when it is rendered.
        images=plan.images if plan.rendered else ancient(plan.images),
    output:
        manifest="results/data/{dataset}/manifest.npz",
    log:
        "results/data/{dataset}/manifest/log.txt",
    benchmark:
        "results/data/{dataset}/manifest/benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: hardware.render_threads
    shell:
        "python -m fixres manifest --config {input.config:q} --images {input.images:q}"
        " --threads {threads} --out {output.manifest:q} 2> {log:q}"

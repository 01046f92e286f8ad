# §3.1, §5: the images, rendered or given, and the manifest that lists and checks them.


rule render:
    output:
        images=directory("results/data/{dataset}/rendered"),
    log:
        "results/data/{dataset}/render/log.txt",
    benchmark:
        "results/data/{dataset}/render/benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: hardware.render_threads
    resources:
        **fixres.workflow.stage_resources(plan, "render"),
    params:
        config="results/data/{dataset}/render/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "data/{dataset}/render"),
    message:
        "Rendering the images of {wildcards.dataset}"
    shell:
        "exec python -m fixres render --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --threads {threads} --out {output.images:q} 2> {log:q}"


# Archives are unpacked beside the manifest, in unpacked/. That folder is no output, so that an
# interrupted unpacking goes on where it was.
rule manifest:
    input:
        images=lambda wildcards: fixres.workflow.images(plan, wildcards.dataset),
    output:
        manifest="results/data/{dataset}/manifest.npz",
    log:
        "results/data/{dataset}/manifest/log.txt",
        # The report says what is wrong with the images. It is no output: Snakemake deletes the
        # outputs of a failed job.
        report="results/data/{dataset}/report.md",
    benchmark:
        "results/data/{dataset}/manifest/benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: hardware.render_threads
    resources:
        **fixres.workflow.stage_resources(plan, "manifest"),
    params:
        config="results/data/{dataset}/manifest/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "data/{dataset}/manifest"),
    message:
        "Checking and listing the images of {wildcards.dataset}"
    shell:
        "exec python -m fixres manifest --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --root {input.images:q}"
        " --threads {threads} --out {output.manifest:q} 2> {log[0]:q}"

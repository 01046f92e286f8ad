# §3.1, §5: the images, rendered or given, and the manifest that lists and checks them.


rule render:
    input:
        config="results/data/{dataset}/render/config.json",
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
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "data/{dataset}/render"),
    shell:
        "exec python -m fixres render --config {input.config:q} --ancestry-digest {params.ancestry_digest}"
        " --threads {threads} --out {output.images:q} 2> {log:q}"


# Archives are unpacked beside the manifest, in unpacked/: no output, so that an interrupted unpacking goes on where it was.
rule manifest:
    input:
        config="results/data/{dataset}/manifest/config.json",
        images=lambda wildcards: fixres.workflow.images(plan, wildcards.dataset),
    output:
        manifest="results/data/{dataset}/manifest.npz",
    log:
        "results/data/{dataset}/manifest/log.txt",
        # What is wrong with the images: no output, since Snakemake deletes those of a failed job.
        report="results/data/{dataset}/report.md",
    benchmark:
        "results/data/{dataset}/manifest/benchmark.tsv"
    conda:
        "../envs/environment.yaml"
    threads: hardware.render_threads
    resources:
        **fixres.workflow.stage_resources(plan, "manifest"),
    params:
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "data/{dataset}/manifest"),
    shell:
        "exec python -m fixres manifest --config {input.config:q} --ancestry-digest {params.ancestry_digest}"
        " --root {input.images:q}"
        " --threads {threads} --out {output.manifest:q} 2> {log[0]:q}"

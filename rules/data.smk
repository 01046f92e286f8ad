# §3.1, §5: the images, rendered or the user's, and the manifest that lists and checks them.


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
        **limits("render"),
    params:
        **job("data/{dataset}/render"),
    message:
        "Rendering the images of {wildcards.dataset}"
    shell:
        command("--threads {threads}")


# Archives are unpacked to unpacked/, in the folder of the manifest. This folder is not an output,
# so that an interrupted unpacking can resume. The report on bad images is not an output either,
# because Snakemake deletes the outputs of a failed job.
use rule render as manifest with:
    input:
        root=lambda wildcards: fixres.workflow.images(graph, wildcards.dataset),
    output:
        manifest="results/data/{dataset}/manifest.npz",
    log:
        "results/data/{dataset}/manifest/log.txt",
        report="results/data/{dataset}/report.md",
    benchmark:
        "results/data/{dataset}/manifest/benchmark.tsv"
    resources:
        **limits("manifest"),
    params:
        **job("data/{dataset}/manifest"),
    message:
        "Checking and listing the images of {wildcards.dataset}"

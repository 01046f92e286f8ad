# §3.1: apparent sizes of objects under train DA and test DA, from the manifest alone, and the crops
# that Figure 1 shows. No network is needed; both take seconds, so they run where Snakemake runs.


rule sizes:
    input:
        manifest=lambda wildcards: fixres.graph.manifest_of(wildcards.sized),
    output:
        metrics="results/{sized}/metrics.json",
        samples="results/{sized}/samples.npz",
    log:
        "results/{sized}/sizes.log",
    benchmark:
        "results/{sized}/sizes.benchmark.tsv"
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/{sized}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{sized}"),
    message:
        "Measuring apparent sizes: {wildcards.sized}"
    shell:
        "exec python -m fixres sizes --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q} --out {output.metrics:q} 2> {log:q}"


rule crops:
    input:
        manifest=lambda wildcards: fixres.graph.manifest_of(wildcards.cropped),
    output:
        crops="results/{cropped}/crops.npz",
    log:
        "results/{cropped}/crops.log",
    benchmark:
        "results/{cropped}/crops.benchmark.tsv"
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        config="results/{cropped}/config.json",
        ancestry_digest=fixres.workflow.ancestry_digest(plan, "{cropped}"),
    message:
        "Cutting the crops of one image: {wildcards.cropped}"
    shell:
        "exec python -m fixres crops --config {params.config:q}"
        " --ancestry-digest {params.ancestry_digest}"
        " --manifest {input.manifest:q} --out {output.crops:q} 2> {log:q}"

# A custom network and images (docs/recommend.md): the choice of k_test and crop_pct, the network in
# a format for other programs, and the answer. {job} is recommend/<name>.


rule choose:
    input:
        lambda wildcards: measurements(f"{wildcards.job}/choice"),
        manifest=lambda wildcards: f"results/data/{graph.config.dataset}/manifest.npz",
    output:
        choice="results/{job}/choice/choice.json",
    log:
        "results/{job}/choice/log.txt",
    wildcard_constraints:
        job=jobs_of("answer"),
    localrule: True
    conda:
        "../envs/environment.yaml"
    params:
        **job("{job}/choice"),
    message:
        "Choosing k_test and crop_pct: {wildcards.job}"
    shell:
        command("--results results")


# The weights keep the network's original names. Which other files are written depends on the source
# of the network (models/export.py).
use rule choose as export with:
    input:
        lambda wildcards: fixres.workflow.weights(graph, f"{wildcards.job}/export"),
        choice="results/{job}/choice/choice.json",
        manifest=lambda wildcards: f"results/data/{graph.config.dataset}/manifest.npz",
    output:
        model="results/{job}/fixed/model.safetensors",
    log:
        "results/{job}/export/log.txt",
    localrule: True
    params:
        **job("{job}/export"),
    message:
        "Writing the chosen network: results/{wildcards.job}/fixed/"


use rule choose as answer with:
    input:
        "results/{job}/choice/choice.json",
        "results/{job}/fixed/model.safetensors",
    output:
        md="results/{job}.md",
        csv="results/{job}.csv",
        svg="results/{job}.svg",
        png="results/{job}.png",
        html=report(
            "results/{job}.html",
            category="Your network",
            labels={"page": "{job}", "shows": "where to test it, what fixing gains and costs"},
        ),
    log:
        "results/{job}/log.txt",
    localrule: True
    params:
        **job("{job}"),
    message:
        "The answer: results/{wildcards.job}.md"

# Cluster nodes rarely reach the internet, so downloads run where Snakemake does.
rule download:
    output:
        "resources/{archive}.json",
    log:
        "results/logs/download/{archive}.log",
    benchmark:
        "results/benchmarks/download/{archive}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(1440),
    params:
        entry=lambda wildcards: DESIGN.archive_entry(wildcards.archive),
        code=reruns.download_code(),
    script:
        "../scripts/download.py"


# The images themselves are no inputs: a dry run that looks at 27,000 files one by one takes minutes.
# `sources`, a fingerprint of their names, sizes and times, notices any change in a fraction of a
# second; a path that does not exist is left to the reader, whose message says what to do.
rule dataset:
    input:
        lambda wildcards: DESIGN.download_record(wildcards.dataset),
    output:
        h5="results/{dataset}/dataset.h5",
        json="results/{dataset}/dataset.json",
    log:
        "results/logs/{dataset}/dataset.log",
    benchmark:
        "results/benchmarks/{dataset}/dataset.tsv"
    conda:
        ENVIRONMENT
    threads: COMPUTE["threads"]
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    params:
        entry=lambda wildcards: DESIGN.image_keys(wildcards.dataset),
        image_size=config["image_size"],
        sources=source_state,
        resources_dir="resources",
        code=reruns.dataset_code(),
    script:
        "../scripts/dataset.py"


# The baselines see colour, at a size of their own.
rule colour_images:
    input:
        lambda wildcards: DESIGN.download_record(wildcards.dataset),
    output:
        h5="results/{dataset}/colour{size}.h5",
        json="results/{dataset}/colour{size}.json",
    log:
        "results/logs/{dataset}/colour{size}.log",
    benchmark:
        "results/benchmarks/{dataset}/colour{size}.tsv"
    conda:
        ENVIRONMENT
    threads: COMPUTE["threads"]
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    params:
        entry=lambda wildcards: DESIGN.image_keys(wildcards.dataset),
        image_size=lambda wildcards: int(wildcards.size),
        color=True,
        sources=source_state,
        resources_dir="resources",
        code=reruns.dataset_code(),
    script:
        "../scripts/dataset.py"

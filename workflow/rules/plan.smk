rule plan:
    input:
        h5="results/{dataset}/dataset.h5",
        json="results/{dataset}/dataset.json",
    output:
        plan="results/{dataset}/plan.json",
        split="results/{dataset}/split.json",
    log:
        "results/logs/{dataset}/plan.log",
    benchmark:
        "results/benchmarks/{dataset}/plan.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        split=lambda wildcards: DESIGN.split_keys(wildcards.dataset),
        code=reruns.plan_code(),
    script:
        "../scripts/plan.py"


# Do the normals of the three sets look alike? A note in tables and figures says where they do not.
rule shift:
    input:
        dataset="results/{dataset}/dataset.h5",
        split="results/{dataset}/split.json",
    output:
        "results/{dataset}/shift.json",
    log:
        "results/logs/{dataset}/shift.log",
    benchmark:
        "results/benchmarks/{dataset}/shift.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=reruns.shift_code(),
    script:
        "../scripts/shift.py"

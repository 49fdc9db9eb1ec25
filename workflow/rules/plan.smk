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
        mem_mb=2000,
        runtime=10,
    params:
        split=lambda wildcards: DESIGN.split_keys(wildcards.dataset),
        code=reruns.plan_code(),
    script:
        "../scripts/plan.py"

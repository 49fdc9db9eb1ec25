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
        split=split_entry,
        code=CODE["plan"],
    script:
        "../scripts/plan.py"

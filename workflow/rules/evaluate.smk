rule evaluate:
    input:
        dataset="results/{dataset}/dataset.h5",
        split="results/{dataset}/split.json",
        predictions="results/{dataset}/{method}/predictions.h5",
    output:
        scores="results/{dataset}/{method}/scores.csv",
        threshold="results/{dataset}/{method}/threshold.json",
        metrics="results/{dataset}/{method}/metrics.json",
    log:
        "results/logs/{dataset}/{method}/evaluate.log",
    benchmark:
        "results/benchmarks/{dataset}/{method}/evaluate.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        **config["evaluation"],
        method=lambda wildcards: reruns.method_fingerprints([method_of(wildcards)]),
        code=reruns.evaluate_code(),
    script:
        "../scripts/evaluate.py"

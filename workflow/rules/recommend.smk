# Which method to use for a dataset, by its validation images alone.
rule recommend:
    input:
        split="results/{dataset}/split.json",
        methods=lambda wildcards: DESIGN.candidate_files(
            ("predictions.h5", "threshold.json"), [wildcards.dataset]
        ),
    output:
        report(
            "results/{dataset}/recommended.json",
            caption="../report/recommended.rst",
            category="Datasets",
            subcategory="{dataset}",
            labels={"figure": "recommended method", "method": "(all)"},
        ),
    log:
        "results/logs/{dataset}/recommend.log",
    benchmark:
        "results/benchmarks/{dataset}/recommend.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        methods=lambda wildcards: DESIGN.candidates(wildcards.dataset),
        confidence=config["evaluation"]["confidence"],
        code=reruns.recommend_code(),
    script:
        "../scripts/recommend.py"

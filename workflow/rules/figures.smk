rule figures:
    input:
        dataset="results/{dataset}/dataset.h5",
        notes="results/{dataset}/dataset.json",
        methods=lambda wildcards: there(
            experiment_files(drawn_files, wildcards.dataset, FIRST_RUNS)
        ),
    output:
        report(
            directory("results/{dataset}/figures"),
            patterns=["{figure}.png"],
            caption="../report/dataset_figures.rst",
            category="Datasets",
            subcategory="{dataset}",
            labels=figure_labels,
        ),
    log:
        "results/logs/{dataset}/figures.log",
    benchmark:
        "results/benchmarks/{dataset}/figures.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        families=dataset_families,
        code=CODE["figures"],
    script:
        "../scripts/figures.py"

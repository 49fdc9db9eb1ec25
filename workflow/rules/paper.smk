rule tables:
    input:
        judged(),
    output:
        multiext("results/tables/table06_performance", ".md", ".tex"),
        multiext("results/tables/table10_calibration", ".md", ".tex"),
        table06=report(
            "results/tables/table06_performance.html",
            caption="../report/table06.rst",
            category="Tables",
            labels={"table": "Table 6: performance", "format": "view"},
        ),
        table06_csv=report(
            "results/tables/table06_performance.csv",
            caption="../report/table06.rst",
            category="Tables",
            labels={"table": "Table 6: performance", "format": "CSV"},
        ),
        table10=report(
            "results/tables/table10_calibration.html",
            caption="../report/table10.rst",
            category="Tables",
            labels={"table": "Table 10: calibration", "format": "view"},
        ),
        table10_csv=report(
            "results/tables/table10_calibration.csv",
            caption="../report/table10.rst",
            category="Tables",
            labels={"table": "Table 10: calibration", "format": "CSV"},
        ),
    log:
        "results/logs/tables.log",
    benchmark:
        "results/benchmarks/tables.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=CODE["tables"],
    script:
        "../scripts/tables.py"


rule cross_figures:
    input:
        experiment_files(drawn_files),
    output:
        report(
            directory("results/figures"),
            patterns=["{figure}.png"],
            caption="../report/cross_figures.rst",
            category="Across datasets",
            labels=figure_labels,
        ),
    log:
        "results/logs/cross_figures.log",
    benchmark:
        "results/benchmarks/cross_figures.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        families={dataset: families_on(dataset) for dataset in DATASETS},
        performance_of=[name for name in ("dual", "dual_plus") if name in METHODS],
        code=CODE["figures"],
    script:
        "../scripts/cross_figures.py"

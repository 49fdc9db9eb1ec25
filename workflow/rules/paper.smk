# Tables and figures across datasets, each a target of its own under the paper's name.
for table, inputs in TABLES.items():

    rule:
        name:
            f"table_{table}"
        input:
            inputs,
        output:
            multiext(f"results/tables/{table}", ".md", ".tex"),
            view=report(
                f"results/tables/{table}.html",
                caption="../report/tables.rst",
                category="Tables",
                labels={"table": table_title(table), "format": "view"},
            ),
            csv=report(
                f"results/tables/{table}.csv",
                caption="../report/tables.rst",
                category="Tables",
                labels={"table": table_title(table), "format": "CSV"},
            ),
        log:
            f"results/logs/tables/{table}.log",
        benchmark:
            f"results/benchmarks/tables/{table}.tsv"
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=1000,
            runtime=30,
        params:
            table=table,
            methods=compared_methods(table),
            image_size=config["image_size"],
            code=CODE["tables"],
        script:
            "../scripts/table.py"


for figure, inputs in FIGURES.items():

    rule:
        name:
            f"draw_{figure}"
        input:
            inputs,
        output:
            report(
                f"results/figures/{figure}.png",
                caption="../report/cross_figures.rst",
                category="Across datasets",
                labels={"figure": figure.replace("_", " ")},
            ),
            f"results/figures/{figure}.pdf",
        log:
            f"results/logs/figures/{figure}.log",
        benchmark:
            f"results/benchmarks/figures/{figure}.tsv"
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            figure=figure,
            sweep=sweep_of(figure),
            code=CODE["cross_figures"],
        script:
            "../scripts/figure.py"


rule performance_figures:
    input:
        experiment_files(drawn_files, methods=FIRST_RUNS),
    output:
        *report(
            collect("results/figures/{figure}.png", figure=PERFORMANCE_FIGURES),
            caption="../report/cross_figures.rst",
            category="Across datasets",
            labels={"figure": "performance and overview"},
        ),
        collect("results/figures/{figure}.pdf", figure=PERFORMANCE_FIGURES),
    log:
        "results/logs/performance_figures.log",
    benchmark:
        "results/benchmarks/performance_figures.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        families={dataset: families_on(dataset) for dataset in DATASETS},
        performance_of=PERFORMANCE_OF,
        code=CODE["figures"],
    script:
        "../scripts/cross_figures.py"


# The paper's own numbers: ours beside them, and what they say of each other.
rule paper:
    input:
        judged(),
    output:
        multiext("results/paper/comparison", ".csv", ".md", ".tex"),
        multiext("results/paper/audit", ".csv", ".md", ".tex"),
        "results/paper/paper_comparison.pdf",
        comparison=report(
            "results/paper/comparison.html",
            caption="../report/paper.rst",
            category="The paper",
            labels={"paper": "ours beside the paper", "format": "table"},
        ),
        picture=report(
            "results/paper/paper_comparison.png",
            caption="../report/paper.rst",
            category="The paper",
            labels={"paper": "ours beside the paper", "format": "figure"},
        ),
        audit=report(
            "results/paper/audit.html",
            caption="../report/paper.rst",
            category="The paper",
            labels={"paper": "audit of Table 6", "format": "table"},
        ),
        matrices="results/paper/confusion_matrices.csv",
    log:
        "results/logs/paper.log",
    benchmark:
        "results/benchmarks/paper.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=CODE["paper"],
    script:
        "../scripts/paper.py"

# Tables and figures across datasets, each a target of its own under the paper's name.
for table, results in TABLES.items():

    rule:
        name:
            f"table_{table}"
        input:
            results=there(results),
            beside=there(BESIDE.get(table, [])),
            notes=there(dataset_notes(results)),
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
            # All of them: what is missing is shown as a gap.
            results=results,
            methods=compared_methods(table),
            texts=method_texts(table),
            image_size=config["image_size"],
            code=CODE["tables"],
        script:
            "../scripts/table.py"


for figure, results in FIGURES.items():

    rule:
        name:
            f"draw_{figure}"
        input:
            results=there(results),
            beside=there(BESIDE.get(figure, [])),
            notes=there(dataset_notes(results)),
        output:
            report(
                f"results/figures/{figure}.png",
                caption="../report/across.rst",
                category="Across datasets",
                labels=method_labels(figure),
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
            # All of them: what is missing is shown as a gap.
            results=results,
            sweep=sweep_of(figure),
            code=CODE["across"],
        script:
            "../scripts/figure.py"


# The paper's own numbers: ours beside them, and what they say of each other.
rule paper:
    input:
        results=there(judged()),
        notes=there(dataset_notes(judged())),
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
        results=judged(),
        paper_names={
            name: entry["paper_name"]
            for name, entry in DATASETS.items()
            if entry.get("paper_name")
        },
        code=CODE["paper"],
    script:
        "../scripts/paper.py"

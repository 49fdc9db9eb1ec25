# The tables across datasets, each a target of its own under the paper's name.
for table, target in TABLES.items():

    rule:
        name:
            f"table_{table}"
        input:
            results=DESIGN.available(target.results),
            files=DESIGN.available(target.files),
            notes=DESIGN.description_files(target.results),
        output:
            multiext(f"results/tables/{table}", ".md", ".tex"),
            view=report(
                f"results/tables/{table}.html",
                caption="../report/tables.rst",
                category="Tables",
                labels={"table": target.title, "format": "view"},
            ),
            csv=report(
                f"results/tables/{table}.csv",
                caption="../report/tables.rst",
                category="Tables",
                labels={"table": target.title, "format": "CSV"},
            ),
        log:
            f"results/logs/tables/{table}.log",
        benchmark:
            f"results/benchmarks/tables/{table}.tsv"
        group:
            "across"
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=growing(1000),
            runtime=growing(30),
        params:
            # A parameter for each method, so that Snakemake names those that have changed.
            *reruns.table_fingerprints(target),
            table=table,
            # All of them: what is missing is shown as a gap.
            results=reruns.paths_fingerprint(target.results),
            image_size=DESIGN.image_size,
            reference=DESIGN.reference if "reference" in target.product.keywords else None,
            call=reruns.product_call(target.product),
            code=reruns.table_code(target.product),
        script:
            "../scripts/table.py"

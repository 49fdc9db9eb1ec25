# The figures of a dataset, a target of its own.
rule figures:
    input:
        dataset="results/{dataset}/dataset.h5",
        notes=lambda wildcards: DESIGN.description_files([f"results/{wildcards.dataset}/figures"]),
        methods=lambda wildcards: DESIGN.drawn_paths(wildcards.dataset),
    output:
        report(
            directory("results/{dataset}/figures"),
            patterns=["{figure}.png"],
            caption="../report/dataset_figures.rst",
            category="Datasets",
            subcategory="{dataset}",
            labels=lambda wildcards: figure_labels(wildcards.figure),
        ),
    log:
        "results/logs/{dataset}/figures.log",
    benchmark:
        "results/benchmarks/{dataset}/figures.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        families=method_families,
        code=reruns.figures_code(),
    script:
        "../scripts/figures.py"


# The figures across datasets, each a target of its own under the paper's name.
for figure, target in FIGURES.items():

    rule:
        name:
            f"draw_{figure}"
        input:
            results=DESIGN.available(target.results),
            files=DESIGN.available(target.files),
            notes=DESIGN.description_files(target.results),
        output:
            report(
                f"results/figures/{figure}.png",
                caption="../report/across.rst",
                category="Across datasets",
                labels=figure_labels(figure),
            ),
            f"results/figures/{figure}.pdf",
        log:
            f"results/logs/figures/{figure}.log",
        benchmark:
            f"results/benchmarks/figures/{figure}.tsv"
        group:
            "across"
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=growing(2000),
            runtime=growing(30),
        params:
            figure=figure,
            # All of them: what is missing is shown as a gap.
            results=reruns.paths_fingerprint(target.results),
            sweep=target.sweep_values,
            families=method_families,
            call=reruns.product_call(target.product),
            code=reruns.figure_code(target.product),
        script:
            "../scripts/figure.py"

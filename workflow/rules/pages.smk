# The galleries of a dataset's methods. One job writes them all: starting Python takes longer than
# most of them, and which methods a dataset has is no matter of wildcards.
for dataset in DESIGN.datasets:
    if galleries := DESIGN.galleries(dataset):

        rule:
            name:
                f"galleries_{dataset}"
            input:
                **DESIGN.gallery_inputs(dataset),
                dataset=f"results/{dataset}/dataset.h5",
                notes=DESIGN.description_files(galleries.values()),
            output:
                *galleries.values(),
            log:
                f"results/logs/{dataset}/galleries.log",
            benchmark:
                f"results/benchmarks/{dataset}/galleries.tsv"
            group:
                "across"
            conda:
                ENVIRONMENT
            threads: 1
            resources:
                mem_mb=growing(4000),
                runtime=growing(60),
            params:
                dataset=dataset,
                # The lines that a gallery shows for the configuration.
                methods=reruns.entry_fingerprints(galleries, config["methods"]),
                code=reruns.gallery_code(),
            script:
                "../scripts/galleries.py"


# The page to open first: what was found, what limits it, and where everything is.
rule index:
    input:
        **DESIGN.index_inputs(),
        differences="results/tables/differences.csv",
        paper="results/paper/comparison.csv",
        tables=collect("results/tables/{table}.html", table=TABLES),
        figures_across=collect("results/figures/{figure}.png", figure=FIGURES),
    output:
        report(
            "results/index.html",
            caption="../report/index.rst",
            category="Start here",
            labels={"page": "verdicts, pictures, warnings"},
        ),
    log:
        "results/logs/index.log",
    benchmark:
        "results/benchmarks/index.tsv"
    group:
        "across"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        # All of them: what is missing is shown as a gap.
        results=reruns.paths_fingerprint(DESIGN.metrics_files()),
        families=reruns.fingerprint("families", list(DESIGN.families.items())),
        code=reruns.index_code(),
    script:
        "../scripts/index.py"

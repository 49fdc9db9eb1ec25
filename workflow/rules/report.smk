localrules:
    report,


# All files of all methods, and all figures and tables; a target of its own.
rule outputs:
    input:
        there(experiment_files(method_files)),
        there(sweep_folders()),
        there(batch_searches()),
        collect("results/{dataset}/figures", dataset=[one for one in DATASETS if families_on(one)]),
        collect("results/tables/{table}.html", table=TABLES),
        collect("results/figures/{figure}.png", figure=FIGURES),
        rules.paper.output,


# Snakemake writes its report in a second invocation that reads the finished outputs. As a rule, and
# not as an option of the profile, it is made when something has changed and only then, never in
# place of a full one when a single target is asked for, and a dry run leaves it alone.
rule report:
    input:
        rules.outputs.input,
    output:
        ensure("results/report.html", non_empty=True),
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        snakefile=str(workflow.main_snakefile),
        config=config,
        captions=folder_fingerprint(Path(workflow.basedir) / "workflow/report"),
    script:
        "../scripts/report.py"

# All files of all methods, and all figures and tables; a target of its own.
rule outputs:
    input:
        DESIGN.result_files(),
        DESIGN.recommendation_files(),
        DESIGN.figure_folders(),
        collect("results/tables/{table}.html", table=TABLES),
        collect("results/figures/{figure}.png", figure=FIGURES),
        rules.paper.output,
        rules.index.output,


# Snakemake writes its report in a second invocation that reads the finished outputs. As a rule, and
# not as an option of the profile, it is made when something has changed and only then, never in
# place of a full one when a single target is asked for, and a dry run leaves it alone.
rule report:
    input:
        rules.outputs.input,
    output:
        ensure("results/report.html", non_empty=True),
        record="results/configuration.json",
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        # As a module, this workflow has the importer's Snakefile and configuration, and another
        # name for the rule.
        target=rules.outputs.rule.name,
        snakefile=str(workflow.main_snakefile),
        configfiles=[str(path) for path in workflow.config_settings.configfiles],
        overrides=list(workflow.config_settings.config_args),
        stylesheet=str(ROOT / "workflow/report/report.css"),
        config=reruns.fingerprint("configuration", config),
        code=reruns.report_code(),
        captions=folder_fingerprint(ROOT / "workflow/report"),
    script:
        "../scripts/report.py"


# Said once, before the first job and in a dry run too, but not by the jobs.
if workflow.is_main_process:
    if notice := replacement_notice(rules.report.output.record, config):
        logger.warning(notice)

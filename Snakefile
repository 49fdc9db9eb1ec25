from snakemake.utils import min_version

min_version("9.27")


# `configfile` would merge its datasets into those of a --configfile, so it is a fallback only.
if "datasets" not in config:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/baselines.smk"
include: "workflow/rules/studies.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/share.smk"
include: "workflow/rules/recommend.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/pages.smk"
include: "workflow/rules/report.smk"


# Used with `--sdm apptainer` only; docs/cluster.md says how it is built.
container: str(ROOT / "dualad.sif")


rule all:
    default_target: True
    input:
        "results/index.html",
        "results/report.html",


onsuccess:
    forget_finished(Path("results/.work"))


onerror:
    forget_finished(Path("results/.work"))
    print(
        "Jobs failed or were interrupted, see above; their logs are in results/logs. The same command "
        "goes on from there. With --keep-going the others are run all the same. With --config "
        "allow_gaps=True tables, figures and the report are made without them."
    )

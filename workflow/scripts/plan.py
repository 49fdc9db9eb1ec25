"""Plan a dataset's seeds and batch size, and fix its test set."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.data.preparation import prepare
from dualad.design.targets import Design
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

dataset = snakemake.wildcards.dataset
with job_log(snakemake.log[0], f"{dataset} plan", snakemake.params.code):
    # No parameter of the rule: another threshold must not plan, and so train, anew.
    design = Design.from_config(snakemake.config)
    prepare(
        Path(snakemake.input.h5),
        Path(snakemake.input.json),
        plan_json=Path(snakemake.output.plan),
        split_json=Path(snakemake.output.split),
        threshold_rules=design.threshold_rules(dataset),
        validation_normals=design.validation_normals_needed(dataset),
        **snakemake.params.split,
    )

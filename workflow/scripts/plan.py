"""Plan a dataset's seeds and batch size, and fix its test set."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.data.preparation import prepare
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} plan"):
    prepare(
        Path(snakemake.input.h5),
        Path(snakemake.input.json),
        plan_json=Path(snakemake.output.plan),
        split_json=Path(snakemake.output.split),
        threshold_rules=snakemake.params.threshold_rules,
        **snakemake.params.split,
    )

"""Score a fitted method's validation images and the test images."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.jobs import run_score
from dualad.progress import job_log
from dualad.runtime import Runtime

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

methods = Design.from_config(snakemake.config).methods
name = snakemake.wildcards.method
with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} {name} score"):
    run_score(
        methods[name],
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.output.predictions).parent,
        Runtime.of_job(
            snakemake.params.threads,
            snakemake.threads,
            snakemake.resources,
            tf32=snakemake.params.tf32,
        ),
        snakemake.params.map_size,
    )

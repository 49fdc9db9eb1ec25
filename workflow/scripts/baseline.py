"""Fit a baseline and score the validation and test images."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.jobs import run_baseline
from dualad.progress import job_log
from dualad.runtime import Runtime

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

name = snakemake.wildcards.method
with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} {name} fit"):
    run_baseline(
        Design.from_config(snakemake.config).methods[name],
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.input.plan),
        out_dir=Path(snakemake.output[0]).parent,
        work_dir=Path(snakemake.params.work),
        map_size=snakemake.params.map_size,
        runtime=Runtime(
            threads=snakemake.params.threads,
            cores=snakemake.threads,
            gpu=snakemake.resources.gpu,
            gpu_memory_mb=snakemake.resources.gpu_memory_mb,
        ),
    )

"""Fit a method: all attempts of a network, or a control."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.jobs import run_fit
from dualad.progress import job_log
from dualad.runtime import Runtime

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

name = snakemake.wildcards.method
with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} {name} {snakemake.rule}"):
    run_fit(
        Design.from_config(snakemake.config).methods[name],
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.input.plan),
        Path(snakemake.input.best) if snakemake.input.get("best") else None,
        out_dir=Path(snakemake.output[0]).parent,
        work_dir=Path(snakemake.params.work),
        runtime=Runtime(
            threads=snakemake.params.get("threads", 1),
            cores=snakemake.threads,
            gpu=snakemake.resources.get("gpu", 0),
            gpu_memory_mb=snakemake.resources.get("gpu_memory_mb", 0),
        ),
    )

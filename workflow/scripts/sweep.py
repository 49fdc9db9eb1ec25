"""Fit, score and judge a method under one value of a key after another."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.studies import run_sweep
from dualad.progress import job_log
from dualad.runtime import Runtime

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} {snakemake.rule}"):
    sweep = Design.from_config(snakemake.config).sweeps[snakemake.params.sweep]
    run_sweep(
        {value: replace(point, name=value) for value, point in sweep.points.items()},
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.input.plan),
        Path(snakemake.input.best) if snakemake.input.get("best") else None,
        out_dir=Path(snakemake.output[0]),
        work_dir=Path(snakemake.params.work),
        map_size=snakemake.params.map_size,
        evaluation=snakemake.params.evaluation,
        code=snakemake.params.code,
        runtime=Runtime(
            threads=snakemake.params.threads,
            cores=snakemake.threads,
            gpu=snakemake.resources.gpu,
            gpu_memory_mb=snakemake.resources.gpu_memory_mb,
        ),
    )

"""Search the batch size by Algorithm 1."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.studies import run_batch_search
from dualad.progress import job_log
from dualad.runtime import Runtime

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} batch_search"):
    design = Design.from_config(snakemake.config)
    run_batch_search(
        replace(design.batch_search.base, name="batch_search"),
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.input.plan),
        Path(snakemake.input.best) if snakemake.input.get("best") else None,
        evaluations_csv=Path(snakemake.output.evaluations),
        result_json=Path(snakemake.output.result),
        work_dir=Path(snakemake.params.work),
        epsilon=snakemake.params.epsilon,
        code=snakemake.params.code,
        runtime=Runtime(
            threads=snakemake.params.threads,
            cores=snakemake.threads,
            gpu=snakemake.resources.gpu,
            gpu_memory_mb=snakemake.resources.gpu_memory_mb,
        ),
    )

"""Search the batch size by Algorithm 1."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.experiments import resolve_methods
from dualad.methods.studies import run_batch_search
from dualad.progress import job_log
from dualad.runtime import Runtime

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} batch_search"):
    run_batch_search(
        resolve_methods({"batch_search": snakemake.params.method})["batch_search"],
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

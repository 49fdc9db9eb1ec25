"""Score a fitted method's validation images and the test images."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.jobs import run_score
from dualad.progress import job_log
from dualad.runtime import Runtime

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

name = snakemake.wildcards.method
with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} {name} score"):
    run_score(
        Design.from_config(snakemake.config).methods[name],
        Path(snakemake.input.model[0]).parent,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        predictions_h5=Path(snakemake.output.predictions),
        scoring_json=Path(snakemake.output.scoring),
        map_size=snakemake.params.map_size,
        runtime=Runtime(
            threads=snakemake.params.threads,
            cores=snakemake.threads,
            gpu=snakemake.resources.gpu,
            gpu_memory_mb=snakemake.resources.gpu_memory_mb,
        ),
    )

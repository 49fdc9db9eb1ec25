"""Recommend a method for a dataset, by its validation images."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.progress import job_log
from dualad.results.recommendation import write_recommendation

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} recommend", snakemake.params.code):
    write_recommendation(
        Path(snakemake.output[0]).parent,
        snakemake.params.methods,
        snakemake.params.confidence,
    )

"""Recommend a method for a dataset, by its validation images."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.progress import job_log
from dualad.results.recommendation import write_recommendation

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

dataset = snakemake.wildcards.dataset
with job_log(snakemake.log[0], f"{dataset} recommend"):
    write_recommendation(
        Path(snakemake.output[0]).parent,
        Design.from_config(snakemake.config).candidates(dataset),
        snakemake.config["evaluation"]["confidence"],
    )

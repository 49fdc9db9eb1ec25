"""Write a table across datasets."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.experiments import resolve_methods
from dualad.progress import job_log
from dualad.tables.named import write_named_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], snakemake.params.table):
    write_named_table(
        snakemake.params.table,
        Path(snakemake.output.csv).with_suffix(""),
        snakemake.params.results,
        resolve_methods(snakemake.params.methods),
        snakemake.params.image_size,
        resamples=snakemake.config["evaluation"]["bootstrap"],
        confidence=snakemake.config["evaluation"]["confidence"],
    )

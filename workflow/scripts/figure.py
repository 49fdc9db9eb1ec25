"""Draw a figure across datasets."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.figures.across import draw_across
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], snakemake.params.figure):
    draw_across(
        snakemake.params.figure,
        Path(snakemake.output[0]).parent,
        snakemake.params.results,
        snakemake.params.sweep,
    )

"""Write the page of all results."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.pages.index import write_index
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], "index", snakemake.params.code):
    write_index(Path(snakemake.output[0]), Design.from_config(snakemake.config))

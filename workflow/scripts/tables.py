"""Write the tables across datasets."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.progress import job_log
from dualad.tables import write_table06, write_table10

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], "tables"):
    write_table06(Path(snakemake.output.table06).with_suffix(""), snakemake.input)
    write_table10(Path(snakemake.output.table10).with_suffix(""), snakemake.input)

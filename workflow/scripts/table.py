"""Write a table across datasets."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.products import table_targets
from dualad.design.targets import Design
from dualad.progress import job_log
from dualad.tables.named import write_named_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

name = snakemake.params.table
with job_log(snakemake.log[0], name, snakemake.params.code):
    design = Design.from_config(snakemake.config)
    table = table_targets(design)[name]
    write_named_table(
        name,
        Path(snakemake.output.csv).with_suffix(""),
        table.results,
        table.methods,
        snakemake.params.image_size,
        resamples=snakemake.config["evaluation"]["bootstrap"],
        confidence=snakemake.config["evaluation"]["confidence"],
        reference=design.reference,
    )

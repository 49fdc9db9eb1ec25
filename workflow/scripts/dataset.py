"""Cache a dataset's images as HDF5."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.data.cache import build_dataset
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(
    snakemake.log[0], f"{snakemake.wildcards.dataset} {snakemake.rule}", snakemake.params.code
):
    build_dataset(
        snakemake.wildcards.dataset,
        snakemake.params.entry,
        Path(snakemake.output.h5),
        Path(snakemake.output.json),
        image_size=snakemake.params.image_size,
        color=snakemake.params.get("color", False),
        workers=snakemake.threads,
        resources_dir=Path(snakemake.params.resources_dir),
        progress=True,
    )

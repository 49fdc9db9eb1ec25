"""Write the galleries of a dataset's methods."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.data.dataset import Dataset
from dualad.design.targets import Design
from dualad.pages.gallery import threshold_entry
from dualad.pages.method_gallery import MethodFiles, write_method_gallery
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

name = snakemake.params.dataset
with (
    job_log(snakemake.log[0], f"{name} galleries", snakemake.params.code),
    Dataset(snakemake.input.dataset) as dataset,
):
    design = Design.from_config(snakemake.config)
    for method in design.drawn_families(name, snakemake.input.methods):
        entry = threshold_entry(method, snakemake.config["methods"][method], name)
        folder, images = dataset.path.parent / method, Path(design.images_file(name, method))
        write_method_gallery(MethodFiles(folder, images, entry), dataset)

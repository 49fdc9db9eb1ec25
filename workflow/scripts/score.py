"""Score a fitted method's validation images and the test images."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.handover import do_once
from dualad.methods.jobs import rule_key, run_score
from dualad.progress import job_log
from dualad.runtime import Runtime

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

methods = Design.from_config(snakemake.config).methods
name = snakemake.wildcards.method
with job_log(
    snakemake.log[0], f"{snakemake.wildcards.dataset} {name} score", snakemake.params.code
):
    runtime = Runtime.of_job(snakemake.params, snakemake.threads, snakemake.resources)
    folder = Path(snakemake.output.predictions).parent

    def score(_: Path, results: Path) -> None:
        """Score into a folder that is handed over when it is complete."""
        files = Path(snakemake.input.dataset), Path(snakemake.input.split)
        run_score(
            methods[name], *files, folder, runtime, snakemake.params.map_size, out_dir=results
        )

    do_once(Path(snakemake.params.work), folder, rule_key(snakemake, runtime), score)

"""Evaluate a method: threshold, decisions, metrics."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.evaluation.evaluator import evaluate
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

name = snakemake.wildcards.method
with job_log(
    snakemake.log[0], f"{snakemake.wildcards.dataset} {name} evaluate", snakemake.params.code
):
    evaluate(
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.input.predictions),
        Design.from_config(snakemake.config).methods[name].params,
        name,
        Path(snakemake.output.metrics).parent,
        **snakemake.config["evaluation"],
    )

"""Fit, score and evaluate a method under one value of a key after another."""

from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.jobs import Job, run_alone
from dualad.methods.studies import run_sweep
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

sweep = Design.from_config(snakemake.config).sweeps[snakemake.params.sweep]
with job_log(
    snakemake.log[0], f"{snakemake.wildcards.dataset} {snakemake.rule}", snakemake.params.code
):
    job = Job.of_rule(snakemake, snakemake.output[0])
    evaluation, code = snakemake.params.evaluation, snakemake.params.code
    run_alone(job, lambda job: run_sweep(sweep.points, job, evaluation, code))

"""Search the batch size by Algorithm 1."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.jobs import Job, run_alone
from dualad.methods.studies import run_batch_search
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

study = Design.from_config(snakemake.config).batch_search
assert study is not None, "the rule exists only where there is a batch search"
with job_log(
    snakemake.log[0], f"{snakemake.wildcards.dataset} batch_search", snakemake.params.code
):
    job = Job.of_rule(snakemake, Path(snakemake.output.result).parent)
    code = snakemake.params.code
    run_alone(job, lambda job: run_batch_search(study.base, job, study.epsilon, code))

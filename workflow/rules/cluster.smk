import subprocess


def check_cluster():
    """Refuse what would fail or hang after the first job was submitted, and say what to set."""
    gpu_limit = workflow.global_resources.get("gpu").value
    if gpu_limit == 0 and COMPUTE["gpu"]:
        raise WorkflowError(
            "--resources gpu=0 does not reach the jobs of a cluster, which would ask for a GPU all "
            "the same: set `compute: {gpu: 0}` in the configuration instead"
        )
    status_command = getattr(workflow.executor_settings, "status_command", None)
    if status_command == "sacct":
        answer = subprocess.run(["sacct", "-X", "--noheader"], capture_output=True, text=True)
        if answer.returncode != 0:
            raise WorkflowError(
                f"sacct does not answer ({answer.stderr.strip()}), so Snakemake would never learn "
                "that a job has ended: this Slurm keeps no accounts. Set `slurm-status-command: "
                "squeue` in profiles/slurm/profile.yaml, or give --slurm-status-command squeue"
            )


# In a dry run and in the jobs themselves, hooks are not called.
onstart:
    if workflow.local_exec:
        # For a limit of jobs per second, Snakemake looks for jobs to start again and again, the more
        # often the more jobs have ended. Local jobs are limited by cores.
        workflow.scheduler.job_rate_limiter = None
    else:
        check_cluster()

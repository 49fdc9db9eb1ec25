"""The workflow through profiles/slurm on a real Slurm: time-outs, kills, two at one work."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from one_node import OneNode, obstacle

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
datasets:
  digits: {reader: digits, normal: [1], anomalies_per_class: 4}
methods:
  dual: {family: dual_autoencoder}
  mean_image: {family: mean_image}
defaults:
  dual_autoencoder:
    encoder_widths: [64]
    decoder_widths: [32]
    centering: true
    dropout: 0.1
    epochs: 4000
    attempts: 1
    early_stopping: false
    mc: {samples: 0}
image_size: 16
evaluation: {bootstrap: 20}
compute: {gpu: 1}
"""
METHODS = ("dual", "mean_image")
SITE = {
    "slurm-status-command": "squeue",
    "slurm-no-account": "true",
    "slurm-init-seconds-before-status-checks": "5",
    "latency-wait": "5",
}
"""What a site sets in the profile."""


@pytest.fixture(scope="module")
def slurm() -> Iterator[OneNode]:
    if reason := obstacle():
        pytest.skip(reason)
    pytest.importorskip("snakemake_executor_plugin_slurm")
    # Its path is shorter than that of pytest's folders, which the socket's may not exceed.
    with tempfile.TemporaryDirectory(prefix="slurm") as folder, OneNode(Path(folder)) as node:
        yield node


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A run in a folder; killed if the test fails meanwhile."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(CONFIG)
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *("--directory", str(folder), "--nocolor", *arguments, "--configfile", "tiny.yaml", "--"),
        *(f"results/digits/{method}/metrics.json" for method in METHODS),
    ]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    run = subprocess.Popen(command, cwd=folder, **pipe)
    try:
        yield run
    finally:
        run.kill()
        run.wait()


def wait_for_training(slurm: OneNode, run: subprocess.Popen[str], folder: Path, epochs: int) -> str:
    """The number of the job that trains, when it has done so many epochs."""
    journal = folder / "results/.work/digits/dual/train/unfinished/journal.jsonl"
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and run.poll() is None:
        jobs = slurm.running("rule_network")
        if jobs and journal.exists() and journal.read_text().count("\n") > epochs:
            return jobs[-1]
        time.sleep(0.5)
    raise TimeoutError("no job has trained so far")


def training_process(folder: Path) -> int:
    """The number of the process that trains, by its claim on the work folder."""
    (claim,) = (folder / "results/.work/digits/dual/train").glob("owner.*")
    return int(json.loads(claim.read_text())["pid"])


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name the shipped profile, with what a site sets in it."""
    profile = tmp_path_factory.mktemp("slurm") / "profile.yaml"
    shipped = (ROOT / "profiles/slurm/profile.yaml").read_text()
    kept = [line for line in shipped.splitlines() if line.split(":")[0] not in SITE]
    profile.write_text("\n".join([*kept, *(f"{key}: {value}" for key, value in SITE.items())]))
    default = ROOT / "profiles/default"
    return ["--profile", str(profile.parent), "--workflow-profile", str(default)]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run without a cluster."""
    folder = tmp_path_factory.mktemp("local")
    finish(folder, "--workflow-profile", "none", "--cores", "2")
    return folder


def finish(folder: Path, *arguments: str) -> str:
    """Run to the end; returns what Snakemake said."""
    with started(folder, *arguments) as run:
        text, _ = run.communicate(timeout=400)
        assert run.returncode == 0, text
    return text


def said(log: Path, text: str) -> bool:
    """Whether a log is there and has the text."""
    with suppress(FileNotFoundError):
        return text in log.read_text(errors="replace")
    return False


def assert_same(folder: Path, expected: Path) -> None:
    """Compare scores and metrics byte by byte."""
    for method in METHODS:
        for file in ("scores.csv", "metrics.json"):
            path = f"results/digits/{method}/{file}"
            assert (folder / path).read_bytes() == (expected / path).read_bytes(), path


@pytest.mark.slow
def test_a_run_with_a_time_out_and_a_cancelled_job_gives_the_bytes_of_a_local_one(
    slurm: OneNode, profiles: list[str], local: Path, tmp_path: Path
) -> None:
    with started(tmp_path, *profiles, "--retries", "2", "--verbose") as run:
        first = wait_for_training(slurm, run, tmp_path, 20)
        # A minute is the least, in which the training would end.
        os.kill(training_process(tmp_path), signal.SIGSTOP)
        slurm.ask("scontrol", "update", f"JobId={first}", "TimeLimit=1")
        while "JobState=RUNNING" in (state := slurm.ask("scontrol", "show", "job", first)):
            time.sleep(1)
        while "JobState=COMPLETING" in (state := slurm.ask("scontrol", "show", "job", first)):
            time.sleep(1)
        assert "JobState=TIMEOUT" in state
        second = wait_for_training(slurm, run, tmp_path, 40)
        assert second != first
        slurm.ask("scancel", second)
        text, _ = run.communicate(timeout=400)
        assert run.returncode == 0, text

    calls = re.findall(r"sbatch call: (.*?) --wrap", text)
    asked = {match[1]: call for call in calls if (match := re.search(r"--comment (\S+)", call))}
    # The memory of one of two evaluations, which run in turn, and a GPU for the network alone.
    assert "--mem 4000 " in asked["rule_evaluation_digits_evaluate"]
    with_gpu = [name for name, call in asked.items() if "--gpus=1" in call]
    assert with_gpu == ["rule_network_score_train"]
    assert_same(tmp_path, local)


@pytest.mark.slow
def test_a_job_of_a_snakemake_that_was_killed_and_its_successor_do_not_mix(
    slurm: OneNode, profiles: list[str], local: Path, tmp_path: Path
) -> None:
    with started(tmp_path, *profiles) as run:
        first = wait_for_training(slurm, run, tmp_path, 20)
        # It would end before the other one begins.
        os.kill(process := training_process(tmp_path), signal.SIGSTOP)
    finish(tmp_path, "--workflow-profile", "none", "--unlock")
    with started(tmp_path, *profiles, "--rerun-incomplete") as run:
        deadline = time.monotonic() + 300
        while len(both := slurm.running("rule_network")) < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
        assert both[0] == first and len(both) == 2
        log = tmp_path / "results/logs/digits/dual/train.log"
        # Snakemake removes the former log before the job begins its own.
        while not said(log, f"Slurm job {first}") and time.monotonic() < deadline:
            time.sleep(0.5)
        os.kill(process, signal.SIGCONT)
        text, _ = run.communicate(timeout=400)
        assert run.returncode == 0, text
    assert said(log, f"Slurm job {first}") and said(log, "taking its results")
    assert_same(tmp_path, local)

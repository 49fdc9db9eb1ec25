"""The workflow on a tiny configuration: ways to disturb it, and what must be the same after."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from workspace import Run, Workspace, clean_environment

CONTROLS = """
datasets:
  digits: {reader: digits, normal: [1], anomalies_per_class: 4, protocol: official}
methods:
  pixel_std: {family: pixel_std}
  pca: {family: pca, components: 8}
image_size: 16
evaluation: {bootstrap: 20}
"""
"""A configuration without a network, whose jobs take a second or two."""

NETWORK = CONTROLS.replace(
    "methods:\n",
    """defaults:
  dual_autoencoder:
    encoder_widths: [64, 16]
    decoder_widths: [32]
    learning_rate: 3.0e-3
    search: {trials: 3, epochs: 2}
    epochs: 60
    early_stopping: false
    attempts: 2
    attempt_rule: all
    mc: {samples: 4}
methods:
  dual: {family: dual_autoencoder}
""",
)
"""The same with a network, its search and its attempts."""

TARGETS = (
    "results/digits/recommended.json",
    "results/tables/table06_performance.csv",
    "results/tables/ranks.csv",
)

Victim = Literal["job", "snakemake", "both"]
VICTIMS: Sequence[Victim] = ("job", "snakemake", "both")


@dataclass(frozen=True)
class Kill:
    """What is killed, and when.

    Attributes
    ----------
    victim
        A running job, Snakemake, or all of its processes.
    lines
        Of Snakemake's output, after which the moment comes: of these there are as many on a busy
        machine as on an idle one.
    seconds
        From that line to the moment.
    """

    victim: Victim
    lines: int
    seconds: float


def drawn_kills(seed: int) -> Iterator[Kill]:
    """Kills without end, the same for the same seed; a run has 250 lines, 40 before its jobs."""
    rng = np.random.default_rng(seed)
    while True:
        victim = VICTIMS[rng.integers(len(VICTIMS))]
        yield Kill(victim, int(rng.integers(20, 150)), float(rng.uniform(0, 3)))


@dataclass
class History:
    """What happened in a folder, from the first start to the end."""

    kills: int = 0
    finished: Counter[str] = field(default_factory=Counter)
    """How often a job finished, by its first output."""
    texts: list[str] = field(default_factory=list)

    def take(self, run: Run) -> None:
        """Add what an invocation of Snakemake said."""
        self.texts.append(run.text)
        outputs = {}
        for block in re.split(r"\n(?=\[)", run.text):
            output = re.search(r"^    output: ([^,\n]+)", block, re.M)
            job = re.search(r"^    jobid: (\d+)", block, re.M)
            if output and job:
                outputs[job[1]] = output[1]
        for job_id in re.findall(r"^Finished jobid: (\d+)", run.text, re.M):
            self.finished[outputs[job_id]] += 1


def run_with_kills(workspace: Workspace, kills: Iterator[Kill], most: int) -> History:
    """Run a workflow to its end, killing it again and again.

    Parameters
    ----------
    workspace
        Where it runs.
    kills
        What is killed when; each belongs to one start of Snakemake.
    most
        Kills after which the run is left alone.
    """
    history = History()
    while history.kills < most:
        started = Started(workspace)
        killed = started.kill(next(kills))
        run = started.wait()
        history.take(run)
        history.kills += killed
        if run.returncode == 0:
            return history
        assert killed, run.text
        unlocked = workspace.run("--unlock")
        assert unlocked.returncode == 0, unlocked.text
    run = Started(workspace).wait()
    assert run.returncode == 0, run.text
    history.take(run)
    return history


class Started:
    """A running Snakemake, whose processes form a session of their own."""

    def __init__(self, workspace: Workspace, *arguments: str, **environment: str) -> None:
        self._log = workspace.folder / f"run{time.monotonic_ns()}.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                workspace.command(
                    *("--rerun-incomplete", *arguments, "--", *TARGETS), configfiles=["tiny.yaml"]
                ),
                cwd=workspace.folder,
                env={**clean_environment(), **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """What it has said."""
        return self._log.read_text(errors="replace")

    def kill(self, kill: Kill) -> bool:
        """Wait for the moment and kill; False if the run ends before."""
        while self.process.poll() is None and self.text.count("\n") < kill.lines:
            time.sleep(0.05)
        time.sleep(kill.seconds)
        while self.process.poll() is None:
            jobs = [job for job in self._session() if job != self.process.pid]
            victims = {
                "job": jobs[-1:],
                "snakemake": [self.process.pid],
                "both": [self.process.pid, *jobs],
            }[kill.victim]
            if victims:
                # Stopped first, so that none of them sees the end of another.
                for number in (signal.SIGSTOP, signal.SIGKILL):
                    for victim in victims:
                        _signal(victim, number)
                return True
            time.sleep(0.01)
        return False

    def wait(self) -> Run:
        """Wait for its end, and for that of jobs that outlive it."""
        code = self.process.wait(1500)
        while self._session():
            time.sleep(0.05)
        return Run(code, self.text)

    def _session(self) -> list[int]:
        """Living processes of the session, in the order of their start."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(session) == self.process.pid and state != "Z":
                found.append(int(folder.name))
        return sorted(found)


def _signal(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def results(workspace: Workspace) -> dict[str, bytes]:
    """Content of every file that a disturbance may not change, by path.

    Without the seconds of attempts, which no two runs have in common.
    """
    patterns = (
        *("**/scores.csv", "**/metrics.json", "**/threshold.json", "**/attempts.csv"),
        *("**/search/best.json", "**/split.json", "**/plan.json", "**/recommended.json"),
        *("**/model.npz", "**/dataset.h5", "**/predictions.h5", "tables/*.csv", "tables/*.md"),
    )
    return {
        str(path.relative_to(workspace.results)): _without_seconds(path)
        for pattern in patterns
        for path in sorted(workspace.results.glob(pattern))
        if ".work" not in path.parts
    }


def _without_seconds(path: Path) -> bytes:
    if path.name != "attempts.csv":
        return path.read_bytes()
    return pd.read_csv(path, dtype=str).drop(columns="seconds").to_csv(index=False).encode()

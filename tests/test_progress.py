"""A job's log and its terminal hold the same; mistakes become one message."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, os, resource, sys
from dualad.errors import DualadError
from dualad.progress import job_log, progress_bar
with job_log(sys.argv[1], "toy dual train"):
    bar = progress_bar("training", 4)
    bar.set_postfix_str("attempt 1 of 2")
    bar.update(4)
    bar.close()
    os.write(2, b"native message\\n")
    if sys.argv[2] == "mistake":
        raise DualadError("epochs: too few")
    if sys.argv[2] == "bug":
        raise ValueError("unexpected")
    if sys.argv[2] == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with open(sys.argv[1] + ".h5", "wb", buffering=0) as file:
            file.write(bytes(4096))
            file.write(b"more")
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), 9)
"""


def run(log: Path, ending: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(log), ending], capture_output=True, text=True
    )


def test_terminal_and_log_show_progress_and_only_the_log_native_messages(tmp_path: Path) -> None:
    done = run(tmp_path / "logs" / "train.log", "well")
    log = (tmp_path / "logs" / "train.log").read_text()
    assert done.returncode == 0
    line = "training: epoch 4 of at most 4"
    assert f"toy dual train: {line}" in done.stderr and line in log
    assert "attempt 1 of 2" in done.stderr
    assert "native message" in log and "native message" not in done.stderr


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("mistake", "error: epochs: too few"),
        ("bug", "ValueError: unexpected (traceback in"),
        ("full", "the file would exceed the size limit ([Errno 27] File too large): free some"),
    ],
)
def test_errors_are_one_line_on_the_terminal(tmp_path: Path, ending: str, message: str) -> None:
    done = run(tmp_path / "train.log", ending)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
    assert ("Traceback" in (tmp_path / "train.log").read_text()) == (ending != "mistake")


@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize("ending", ["kill", "mistake", "bug"])
def test_the_log_of_an_unfinished_job_goes_on_and_that_of_a_finished_one_starts_anew(
    tmp_path: Path, ending: str, removed: bool
) -> None:
    path = tmp_path / "train.log"
    again = "the last run of this job did not finish"

    def start(ending: str) -> str:
        if removed:
            # As Snakemake does before it starts a job.
            path.unlink(missing_ok=True)
        run(path, ending)
        return path.read_text()

    first = start(ending)
    assert again not in first
    second = start(ending)
    assert second.startswith(first) and second.count(again) == 1
    third = start("well")
    assert third.startswith(second) and third.count(again) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["train.log"]
    assert again not in start("well")
